"""Requests to the metadata service: by HTTP, with a credential, within limits."""

import asyncio
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import aiohttp
import msgspec

from chat4all.adapters.network_errors import reason_of
from chat4all.concurrency.retrying import Backoff, retry
from chat4all.concurrency.waiting import BoundedWaiting
from chat4all.domain.acting import current_actor
from chat4all.domain.errors import (
    AlreadyTaken,
    BeingChecked,
    Busy,
    Conflict,
    Fenced,
    FieldError,
    InvalidInput,
    NotAllowed,
    NotFound,
    NotSignedIn,
    OutcomeUnknown,
    QuotaReached,
    Refused,
    Unavailable,
)
from chat4all.wire import internal
from chat4all.wire.problems import ProblemSlug, ReceivedProblem, decode_problem, type_of

ASK_SECONDS = 4.5
"""A request with all its retries: a little more than the service allows its database."""

CONNECT_SECONDS = 1.0
CONNECTIONS = 20

IDLE_SECONDS = 4.0
"""Less than the service keeps idle connections, so that it does not close one during a request."""

RESOLVE_SECONDS = 1
"""How long an address is kept; after that the name is resolved again for a new connection."""

WAITING_MAX = 1_000
"""Requests that may be in flight; one more is refused at once."""

ANSWER_MAX = 8 * 1024 * 1024
"""Bytes in an answer: the longest page of the outbox takes an eighth of that."""

TRIES = 3
WAIT_MAX_SECONDS = 0.2

PUBLIC = "the metadata service is unavailable"
"""The text that clients get."""

_NEVER_SENT = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError)

_REFUSED: Mapping[str, type[Refused]] = {
    type_of(ProblemSlug.NOT_FOUND): NotFound,
    type_of(ProblemSlug.NOT_ALLOWED): NotAllowed,
    type_of(ProblemSlug.CONFLICT): Conflict,
    type_of(ProblemSlug.ALREADY_TAKEN): AlreadyTaken,
    type_of(ProblemSlug.BUSY): Busy,
    type_of(ProblemSlug.FENCED): Fenced,
    type_of(ProblemSlug.BEING_CHECKED): BeingChecked,
    type_of(ProblemSlug.QUOTA_REACHED): QuotaReached,
    type_of(ProblemSlug.NOT_SIGNED_IN): NotSignedIn,
}

_encoder = msgspec.json.Encoder()


class MetadataService:
    """Sends requests; created and used on one event loop.

    A missing or unusable answer is `Unavailable`. A request that reads is retried when its
    connection is lost. One that writes is retried only if it cannot have arrived, otherwise it is
    `OutcomeUnknown`.
    """

    def __init__(self, url: str, credential: str) -> None:
        self._url = url
        self._session = aiohttp.ClientSession(
            url,
            headers={
                "Authorization": f"{internal.SCHEME} {credential}",
                "Content-Type": "application/json",
            },
            # `ask` has a deadline for the whole request.
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS),
            connector=aiohttp.TCPConnector(
                limit=CONNECTIONS,
                keepalive_timeout=IDLE_SECONDS,
                ttl_dns_cache=RESOLVE_SECONDS,
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        self._waiting = BoundedWaiting(
            WAITING_MAX, ASK_SECONDS, "questions wait for the metadata service"
        )

    async def ask(self, name: str, question: msgspec.Struct, shape: Any, *, writes: bool) -> Any:
        """Return the answer, of the type `shape`.

        Raises the service's errors: those of `_REFUSED`, `InvalidInput`, `Unavailable`.
        """
        try:
            async with self._waiting.turn() as seconds, asyncio.timeout(seconds):
                status, answer = await self._send(name, _encoder.encode(question), writes=writes)
        except TimeoutError as error:
            raise self._unavailable("no answer in time", writes) from error
        if status != HTTPStatus.OK:
            raise self._refusal(name, status, answer, writes=writes)
        try:
            return msgspec.json.decode(answer, type=shape)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise _failure("the metadata service's answer cannot be read", writes) from error

    async def close(self) -> None:
        """Close every connection."""
        await self._session.close()

    async def _send(self, name: str, body: bytes, *, writes: bool) -> tuple[int, bytes]:
        headers = {internal.ACTOR_HEADER: internal.encode_actor(current_actor())} if writes else {}

        async def send() -> tuple[int, bytes]:
            # Redirects are not followed: the credential is for this service alone.
            async with self._session.post(
                internal.PATH + name, data=body, headers=headers, allow_redirects=False
            ) as answer:
                if answer.content_length is None or answer.content_length > ANSWER_MAX:
                    raise _failure("the metadata service's answer is too large", writes)
                return answer.status, await answer.read()

        def may_be_done(error: Exception) -> bool:
            return writes and not isinstance(error, _NEVER_SENT)

        def is_temporary(error: Exception) -> bool:
            return isinstance(error, aiohttp.ClientError) and not may_be_done(error)

        backoff = Backoff(WAIT_MAX_SECONDS, WAIT_MAX_SECONDS, TRIES, jitter=1.0)
        try:
            return await retry(send, backoff, is_temporary=is_temporary)
        except aiohttp.ClientError as error:
            raise self._unavailable(_reason(error), may_be_done(error)) from error

    def _unavailable(self, reason: str, may_be_done: bool) -> Unavailable:
        detail = (
            f"the metadata service at {self._url} does not answer ({reason}): start it, or set "
            "CHAT4ALL_METADATA_URL to where it is"
        )
        return _failure(detail, may_be_done)

    def _refusal(self, name: str, status: int, answer: bytes, *, writes: bool) -> Exception:
        """Return the error that an answer other than 200 stands for."""
        try:
            problem = decode_problem(answer)
        except ValueError:
            problem = ReceivedProblem()
        is_known = problem.detail != internal.NO_SUCH_QUESTION
        if is_known and (refused := _REFUSED.get(problem.type)):
            return refused(problem.detail)
        match status:
            case HTTPStatus.UNPROCESSABLE_ENTITY:
                return InvalidInput([FieldError("", problem.detail)])
            case HTTPStatus.NOT_FOUND if not is_known:
                why = (
                    f"does not know the question {name}: it is of an older release, so upgrade it "
                    "before the gateways"
                )
            case HTTPStatus.UNAUTHORIZED:
                why = (
                    "does not take this credential: set the same CHAT4ALL_SERVICE_CREDENTIAL for "
                    "gateways and metadata services"
                )
            case HTTPStatus.SERVICE_UNAVAILABLE if problem.type:
                # Its own words for clients, which name no addresses.
                unknown = problem.type == type_of(ProblemSlug.OUTCOME_UNKNOWN)
                detail = f"the metadata service at {self._url} answers: {problem.detail}"
                if unknown:
                    return OutcomeUnknown(detail, PUBLIC)
                return Unavailable(detail, problem.detail)
            case _:
                # Another release, a proxy, a defect: the outcome is unknown.
                return _failure(f"the metadata service answered {status}", writes)
        return Unavailable(f"the metadata service at {self._url} {why}", PUBLIC)


def _failure(detail: str, may_be_done: bool) -> Unavailable:
    return (OutcomeUnknown if may_be_done else Unavailable)(detail, PUBLIC)


def _reason(error: aiohttp.ClientError) -> str:
    if isinstance(error, aiohttp.ClientConnectorError):
        return reason_of(error.os_error)
    return reason_of(error) if isinstance(error, OSError) else "the connection was lost"
