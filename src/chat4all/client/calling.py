"""Requests over HTTP: every try of one call, with one token, one deadline and one id."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from ssl import SSLContext
from typing import Any, Final, Self, TypeVar

import httpx2
import msgspec

from chat4all import __version__
from chat4all.client.certificates import invalid_certificate
from chat4all.client.checking import checked_header, checked_url
from chat4all.client.errors import (
    Answered,
    ClientError,
    Closed,
    Conflict,
    Defect,
    NotAllowed,
    NotFound,
    OutcomeUnknown,
    Refused,
    Unavailable,
    as_kind,
    error_of,
)
from chat4all.client.handshakes import closing_handshakes
from chat4all.client.timing import TRY_TIMEOUT, Pace, seconds_of
from chat4all.client.tokens import Tokens
from chat4all.client.views import OwnProfile, Token

T = TypeVar("T")

USER_AGENT: Final = f"chat4all-client/{__version__}"

CONNECTIONS = httpx2.Limits(max_connections=20, max_keepalive_connections=20, keepalive_expiry=30)

_READING: Final = ("GET", "HEAD")

_OF_STATE: Final = (NotAllowed, NotFound, Conflict)
"""Refusals for what is so now, and may have been otherwise for an earlier try."""

_problems = msgspec.json.Decoder(Answered)
_encoder = msgspec.json.Encoder()


@dataclass(frozen=True, slots=True)
class Call:
    """One request, the same in every try. `key` is its `Idempotency-Key`."""

    method: str
    path: str
    query: Mapping[str, Any] | None = None
    body: Any = field(default=None, repr=False)
    form: Mapping[str, str] | None = field(default=None, repr=False)
    key: str | None = None
    is_signed_in: bool = True
    repeats: bool = True
    """Whether it may be sent again after it may have been done."""
    done_when: tuple[type[Refused], ...] = ()
    """Refusals which say, of a repetition, that an earlier try has done it."""
    headers: Mapping[str, str] = field(default_factory=dict)
    content: Callable[[], AsyncIterator[bytes]] | None = field(default=None, repr=False)
    """Makes the body's bytes, anew for each try."""
    timeout: httpx2.Timeout = field(default_factory=lambda: TRY_TIMEOUT)
    """Of one try."""
    queue_seconds: float = 0.0
    """How much longer the last try may take: a server may have it in a queue."""

    def __post_init__(self) -> None:
        checked_header("an id or a key", self.key)


ME = Call("GET", "/v1/me")


class Caller:
    """Makes requests of the server at `url`.

    Every try has a deadline of its own, all together have `seconds`. No answer, 429 and 5xx are
    tried again, after what `Retry-After` asks for and a random delay that grows.
    """

    def __init__(
        self,
        url: str,
        seconds: float,
        pace: Pace,
        *,
        ssl: SSLContext | None = None,
        user_agent: str | None = None,
    ) -> None:
        self.url: Final = checked_url(url)
        self.user_agent: Final = checked_header("user_agent", user_agent or None) or USER_AGENT
        self.ssl = ssl
        self.tokens: Tokens | None = None
        self.seconds = seconds
        self.was_reached = False
        """Whether the server has ever answered."""
        self._pace = pace
        self._http: httpx2.AsyncClient | None = None
        self._username: str | None = None

    async def __aenter__(self) -> Self:
        if not self.url.startswith("https:"):
            self.ssl = None
        elif self.ssl is None:
            # Reading the certificates of the system takes up to a tenth of a second.
            self.ssl = await asyncio.to_thread(httpx2.create_ssl_context)
        self._http = httpx2.AsyncClient(limits=CONNECTIONS, verify=self.ssl or False)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self.tokens is not None:
            await self.tokens.close()
        http, self._http = self._http, None
        if http is not None:
            await http.aclose()

    async def ask(self, call: Call, answer: type[T]) -> T:
        """Return what is answered, read as `answer`."""
        return read(await self.response(call), answer)

    async def tell(self, call: Call) -> None:
        """Make a request whose answer says nothing more."""
        await self.response(call)

    async def token(self, form: Mapping[str, str]) -> Token:
        """Exchange a password or a refresh token for tokens."""
        call = Call("POST", "/token", form=form, is_signed_in=False)
        return await self.ask(call, Token)

    async def username(self) -> str:
        """Return who is signed in."""
        if self._username is None:
            self._username = (await self.ask(ME, OwnProfile)).username
        return self._username

    async def attempt(self, call: Call) -> httpx2.Response:
        """Return the answer of one try, whatever it takes."""
        return await self._try(call)

    @asynccontextmanager
    async def streamed(self, call: Call) -> AsyncIterator[httpx2.Response]:
        """Give an answer whose body is still to be read; what breaks then is `OutcomeUnknown`."""
        with self._reaching():
            answer = await self._authorized(call)
            try:
                if not answer.is_success:
                    await answer.aread()
                yield self._examined(answer)
            finally:
                await answer.aclose()

    async def once(self, call: Call, seconds: float) -> None:
        """Make a request by one try, for what is not worth another one."""
        with suppress(ClientError, TimeoutError):
            async with asyncio.timeout(seconds):
                await self._try(call)

    def check_certificate(self, error: Exception) -> None:
        """Raise `InvalidCertificate` where that is why there was never an answer.

        Nothing but a change of address, of `ssl` or of the server helps then. A program that has
        been running is not ended by it: somebody forgot to renew the certificate, and will, as
        with any other outage.
        """
        if not self.was_reached and (invalid := invalid_certificate(self.url, error)):
            raise invalid from None

    def http(self) -> httpx2.AsyncClient:
        """Return what makes requests. Raises `Closed` unless the client is open."""
        if self._http is None:
            raise Closed("the client is not open: use `async with`")
        return self._http

    async def response(self, call: Call, *, more_seconds: float = 0.0) -> httpx2.Response:
        """Return the answer of the first try that succeeds."""
        deadline = time.monotonic() + self.seconds + more_seconds
        delays = self._pace.delays()
        may_be_done = False
        while True:
            try:
                async with asyncio.timeout_at(_loop_time(deadline + call.queue_seconds)):
                    return await self._try(call)
            except TimeoutError:
                error: Unavailable = OutcomeUnknown(f"{self.url} does not answer")
            except Unavailable as failed:
                error = failed
            except Refused as refused:
                if may_be_done and isinstance(refused, call.done_when):
                    return httpx2.Response(204)
                if may_be_done and isinstance(refused, _OF_STATE) and call.method not in _READING:
                    raise _in_doubt(call, refused) from None
                raise
            may_be_done = may_be_done or isinstance(error, OutcomeUnknown)
            delay = self._pace.of(error.retry_after or 0.0) + next(delays)
            is_late = time.monotonic() + delay >= deadline
            if is_late or (may_be_done and not call.repeats):
                raise _outcome(call, error, may_be_done=may_be_done)
            await asyncio.sleep(delay)

    async def _try(self, call: Call) -> httpx2.Response:
        with self._reaching():
            answer = await self._authorized(call)
            try:
                await answer.aread()
            finally:
                await answer.aclose()
        return self._examined(answer)

    async def _authorized(self, call: Call) -> httpx2.Response:
        """Return an answer, its body unread, to a request with a token that is not refused."""
        if not call.is_signed_in or self.tokens is None:
            return await self._send(call, None)
        token = await self.tokens.get()
        answer = await self._send(call, token)
        if answer.status_code == 401:
            await answer.aclose()
            token = await self.tokens.get(refused=token)
            answer = await self._send(call, token)
        return answer

    async def _send(self, call: Call, token: str | None) -> httpx2.Response:
        http = self.http()
        headers = {"User-Agent": self.user_agent, **call.headers}
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        if call.key is not None:
            headers["Idempotency-Key"] = f'"{call.key}"'
        if call.body is not None:
            headers["Content-Type"] = "application/json"
        content = call.content and call.content()
        request = http.build_request(
            call.method,
            self.url + call.path,
            params={k: v for k, v in (call.query or {}).items() if v is not None} or None,
            content=content if call.body is None else _encoder.encode(call.body),
            data=call.form,
            headers=headers,
            timeout=call.timeout,
            extensions={"trace": closing_handshakes()} if self.ssl else None,
        )
        answer = await http.send(request, stream=True)
        self.was_reached = True
        return answer

    @contextmanager
    def _reaching(self) -> Iterator[None]:
        """Turn what may go wrong with a connection into the client's errors."""
        try:
            yield
        except httpx2.InvalidURL as error:
            raise Defect(f"{self.url} is no address of a server: {error}") from None
        except (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout) as error:
            self.check_certificate(error)
            raise Unavailable(f"{self.url} does not answer: {_name(error)}") from None
        except httpx2.LocalProtocolError:  # its text may have a header, such as the token
            raise OutcomeUnknown(f"{self.url} does not answer: a defect of the protocol") from None
        except httpx2.RequestError as error:
            raise OutcomeUnknown(f"{self.url} does not answer: {_name(error)}") from None

    def _examined(self, answer: httpx2.Response) -> httpx2.Response:
        """Return an answer that is good; raise what it says otherwise."""
        status = answer.status_code
        if answer.is_success:
            return answer
        is_problem = answer.is_client_error or status >= 500
        said = f"{self.url} answers with {status}"
        if answer.is_redirect or not is_problem:
            raise Defect(f"{said}: is it the address of Chat4All?")
        retry_after = seconds_of(answer.headers.get("Retry-After"))
        raise error_of(status, problem_of(answer), said, retry_after=retry_after)


def problem_of(answer: httpx2.Response) -> Answered:
    """Return what an answer says about a problem; empty where it is another server's."""
    try:
        return _problems.decode(answer.content)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return Answered()


def read(answer: httpx2.Response, kind: type[T]) -> T:
    """Return what an answer has. Raises `Defect` where it is no answer of Chat4All."""
    try:
        return msgspec.json.decode(answer.content, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise Defect(
            f"the answer of {answer.request.url.path} is not understood: {error}"
        ) from None


def _name(error: Exception) -> str:
    return str(error) or type(error).__name__


def _outcome(call: Call, error: Unavailable, *, may_be_done: bool) -> Unavailable:
    """Return the last error as one that is true of all tries together, and its key with it."""
    kind = OutcomeUnknown if may_be_done and call.method != "GET" else Unavailable
    error = as_kind(kind, error)
    error.key = call.key
    return error


def _in_doubt(call: Call, refused: Refused) -> OutcomeUnknown:
    """Return the error for a repetition that is refused: what was done may be why it is."""
    detail = f"{refused.detail}; but an earlier try may have been done"
    error = OutcomeUnknown(detail, status=refused.status)
    error.key = call.key
    return error


def _loop_time(deadline: float) -> float:
    return asyncio.get_running_loop().time() + deadline - time.monotonic()
