"""The metadata service's routes for gateways, which have a credential of their own."""

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from chat4all.domain.acting import act_as
from chat4all.domain.errors import NotFound
from chat4all.http.access_log import CALLER
from chat4all.http.bodies import read_body
from chat4all.http.problems import BadRequest, problem_response
from chat4all.http.route_limits import RouteLimits, set_limits
from chat4all.metadata.file_questions import file_questions
from chat4all.metadata.questions import Question, questions_for
from chat4all.ports.outbox import Outbox
from chat4all.ports.people import PeoplePorts
from chat4all.wire import internal

_LIMITS = RouteLimits(body=internal.BODY_MAX)
_ACTOR = internal.ACTOR_HEADER.lower().encode()
_SCHEME = internal.SCHEME.lower().encode()


@dataclass(frozen=True, slots=True)
class _Route:
    """A question's route. `path` is what metrics call it."""

    path: str
    question: Question[Any]


class InternalEndpoint:
    """ASGI endpoint of `/internal/…`; see `wire.internal`.

    Without the credential the body is not read, and every request gets the same refusal.
    """

    def __init__(
        self,
        credential: bytes,
        people: PeoplePorts,
        outbox: Outbox,
        *,
        secret_proofs: Sequence[bytes] = (),
    ) -> None:
        self._secret_proofs = secret_proofs
        self._credential = hashlib.sha256(credential).digest()
        questions = {
            **questions_for(people, outbox, self._same_secret),
            **file_questions(
                people.uploads, people.files, people.file_uses, people.sharing, people.scans
            ),
        }
        self._routes = {
            internal.PATH + name: _Route(internal.PATH + name, question)
            for name, question in questions.items()
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 200 with JSON, or a problem."""
        response: Response
        try:
            self._check(scope)
            body = await self._answer(scope, receive)
        except ClientDisconnect:
            return
        except Exception as error:
            response = problem_response(error, scope["path"])
        else:
            response = Response(body, media_type="application/json")
        await response(scope, receive, send)

    async def _same_secret(self, query: internal.SameSecret) -> bool:
        # The answer is yes or no: our own proofs are never sent.
        return any(hmac.compare_digest(query.proof, ours) for ours in self._secret_proofs)

    def _check(self, scope: Scope) -> None:
        credential = actor = b""
        for name, value in scope["headers"]:
            if name == b"authorization":
                scheme, _, credential = value.partition(b" ")
                if scheme.lower() != _SCHEME:
                    credential = b""
            elif name == _ACTOR:
                actor = value
        # Hashes, so that timing reveals neither the length nor a prefix of the credential.
        if not hmac.compare_digest(hashlib.sha256(credential).digest(), self._credential):
            raise BadRequest(
                HTTPStatus.UNAUTHORIZED,
                "this is for services, with a credential of their own",
                {"WWW-Authenticate": internal.SCHEME},
            )
        scope[CALLER] = internal.decode_actor(actor)
        act_as(scope[CALLER])

    async def _answer(self, scope: Scope, receive: Receive) -> bytes:
        route = self._routes.get(scope["path"])
        if route is None:
            raise NotFound(internal.NO_SUCH_QUESTION)
        scope["route"] = route
        set_limits(scope, _LIMITS)
        if scope["method"] != "POST":
            raise BadRequest(
                HTTPStatus.METHOD_NOT_ALLOWED, "this route is POST only", {"Allow": "POST"}
            )
        return await route.question.answer(await read_body(scope, receive))
