"""What gateways ask the metadata service, behind a credential of their own."""

import hashlib
import hmac
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Generic, Protocol, TypeVar

import msgspec
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from chat4all.domain.errors import NotFound
from chat4all.http.bodies import decode_body, read_body
from chat4all.http.problems import BadRequest, problem_response
from chat4all.ports.directory import Conversations, Members, Memberships
from chat4all.ports.outbox import Outbox
from chat4all.ports.sessions import Sessions
from chat4all.ports.users import (
    Aliases,
    Credentials,
    Registrations,
    UserAdministration,
    Users,
)
from chat4all.wire import internal

T = TypeVar("T")

_encoder = msgspec.json.Encoder()


@dataclass(frozen=True, slots=True)
class _Route:
    """A path template, as metrics look for it in a scope."""

    path: str


class AllUsers(Registrations, Credentials, Users, UserAdministration, Aliases, Protocol):
    """All that can be asked about users."""


class Directory(Members, Conversations, Protocol):
    """All that can be asked about conversations; `ping` returns when it answers."""

    async def ping(self) -> None:
        """Return when the directory can answer."""
        ...


class _Question(Generic[T]):
    """Something that can be asked: the shape of the question, and who answers it."""

    def __init__(self, shape: type[T], answer: Callable[[T], Awaitable[Any]]) -> None:
        self._decoder = msgspec.json.Decoder(shape)
        self._answer = answer

    async def answer(self, body: bytes) -> bytes:
        return _encoder.encode(await self._answer(decode_body(body, self._decoder)))


class InternalEndpoint:
    """ASGI endpoint of `/internal/…`; see `wire.internal`.

    Nothing is read of a request without the credential. Its refusals say no more than that.
    """

    def __init__(
        self,
        credential: bytes,
        users: AllUsers,
        directory: Directory,
        memberships: Memberships,
        sessions: Sessions,
        outbox: Outbox,
        *,
        secret_proofs: Sequence[bytes] = (),
    ) -> None:
        self._secret_proofs = secret_proofs
        self._credential = hashlib.sha256(credential).digest()
        self._questions: dict[str, _Question[Any]] = {
            "ping": _Question(internal.Ping, lambda _: directory.ping()),
            "user": _Question(internal.OfUser, lambda of: users.user(of.username)),
            "find_users": _Question(
                internal.FindUsers, lambda of: users.find_users(of.prefix, of.limit, of.after)
            ),
            "password_hash": _Question(
                internal.OfUser, lambda of: users.password_hash(of.username)
            ),
            "add_user": _Question(
                internal.AddUser, lambda new: users.add_user(new.user, new.password_hash)
            ),
            "change_user": _Question(
                internal.ChangeUser,
                lambda asked: users.change_user(asked.username, asked.changes, asked.keep),
            ),
            "disable_user": _Question(
                internal.DisableUser,
                lambda asked: users.disable_user(asked.username, disabled=asked.disabled),
            ),
            "erase_user": _Question(internal.OfUser, lambda of: users.erase_user(of.username)),
            "aliases": _Question(internal.OfUsers, lambda of: users.aliases(of.usernames)),
            "conversation": _Question(
                internal.OfConversation, lambda of: directory.conversation(of.conversation_id)
            ),
            "members": _Question(
                internal.OfConversation, lambda of: directory.members(of.conversation_id)
            ),
            "add_conversation": _Question(
                internal.AddConversation, lambda new: directory.add_conversation(new.conversation)
            ),
            "add_member": _Question(
                internal.AddMember,
                lambda new: directory.add_member(
                    new.conversation_id, new.username, new.role, new.by
                ),
            ),
            "change_role": _Question(
                internal.ChangeRole,
                lambda asked: directory.change_role(
                    asked.conversation_id, asked.username, asked.role, asked.by
                ),
            ),
            "remove_member": _Question(
                internal.RemoveMember,
                lambda asked: directory.remove_member(
                    asked.conversation_id, asked.username, asked.by
                ),
            ),
            "change_conversation": _Question(
                internal.ChangeConversation,
                lambda asked: directory.change_conversation(
                    asked.conversation_id, asked.changes, asked.by
                ),
            ),
            "delete_conversation": _Question(
                internal.DeleteConversation,
                lambda asked: directory.delete_conversation(asked.conversation_id, asked.by),
            ),
            "memberships_of": _Question(
                internal.OfUser, lambda of: memberships.of_user(of.username)
            ),
            "details": _Question(
                internal.Details,
                lambda asked: memberships.details(asked.conversations, asked.viewer),
            ),
            "session": _Question(internal.OfSession, lambda of: sessions.get(of.session_id)),
            "start_session": _Question(
                internal.StartSession,
                lambda new: sessions.start(new.session, new.refresh, new.password_hash),
            ),
            "rotate_session": _Question(
                internal.Rotate,
                lambda asked: sessions.rotate(
                    asked.spent, asked.token, asked.now, asked.expires_at
                ),
            ),
            "sessions_of": _Question(internal.OfUser, lambda of: sessions.of_user(of.username)),
            "end_session": _Question(
                internal.EndSession, lambda asked: sessions.end(asked.session_id, asked.username)
            ),
            "outbox": _Question(internal.After, lambda after: outbox.after(after.position)),
            "same_secret": _Question(internal.SameSecret, self._same_secret),
        }
        self._routes = {name: _Route(internal.PATH + name) for name in self._questions}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 200 with JSON, and a problem in every other case."""
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

    async def _same_secret(self, given: internal.SameSecret) -> bool:
        # Yes or no, and never a proof of our own.
        return any(hmac.compare_digest(given.proof, ours) for ours in self._secret_proofs)

    def _check(self, scope: Scope) -> None:
        given = b""
        for name, value in scope["headers"]:
            if name == b"authorization":
                scheme, _, given = value.partition(b" ")
                if scheme.lower() != internal.SCHEME.lower().encode():
                    given = b""
        # Of hashes: neither the length nor the beginning of a good one can be felt out.
        if not hmac.compare_digest(hashlib.sha256(given).digest(), self._credential):
            raise BadRequest(
                HTTPStatus.UNAUTHORIZED,
                "this is for services, with a credential of their own",
                {"WWW-Authenticate": internal.SCHEME},
            )

    async def _answer(self, scope: Scope, receive: Receive) -> bytes:
        name = scope["path"].removeprefix(internal.PATH)
        question = self._questions.get(name)
        if question is None:
            raise NotFound("no such route")
        scope["route"] = self._routes[name]
        if scope["method"] != "POST":
            raise BadRequest(
                HTTPStatus.METHOD_NOT_ALLOWED, "this route is POST only", {"Allow": "POST"}
            )
        return await question.answer(await read_body(scope, receive, internal.BODY_MAX))


def with_internal(app: ASGIApp, endpoint: ASGIApp | None) -> ASGIApp:
    """Return an application that has the internal routes, when there are any, before its own."""
    if endpoint is None:
        return app

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        is_internal = scope["type"] == "http" and scope["path"].startswith(internal.PATH)
        await (endpoint if is_internal else app)(scope, receive, send)

    return answer
