"""The routes of the server."""

import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from tests.conformance.data import Json
from tests.conformance.record import Record
from tests.conformance.shapes import wrong_body
from tests.conformance.store import History, Store
from tests.conformance.tokens import Tokens
from tests.conformance.writes import LOST, Answer, Rules, Writes, problem

FORM = "application/x-www-form-urlencoded"

_CONVERSATION = re.compile(r"/v1/conversations/([^/]+)(/.*)?")


@dataclass(frozen=True)
class Request:
    """One request, read to its end."""

    method: str
    target: str
    headers: dict[str, str]
    body: Any
    """Of JSON or of a form."""

    @property
    def path(self) -> str:
        return unquote(urlsplit(self.target).path)

    @property
    def query(self) -> dict[str, str]:
        return {name: values[-1] for name, values in parse_qs(urlsplit(self.target).query).items()}

    @property
    def is_form(self) -> bool:
        return self.headers.get("content-type", "").startswith(FORM)

    @property
    def bearer(self) -> str | None:
        scheme, _, token = self.headers.get("authorization", "").partition(" ")
        return token if scheme.lower() == "bearer" else None

    @property
    def idempotency_key(self) -> str | None:
        key = self.headers.get("idempotency-key")
        return key and key.strip('"')


@dataclass(frozen=True)
class Reply:
    """What is sent back."""

    answer: Answer
    headers: tuple[tuple[str, str], ...] = ()


class Routes:
    """Answers requests; None is an answer that is lost."""

    def __init__(
        self, tokens: Tokens, store: Store, rules: Rules, writes: Writes, record: Record
    ) -> None:
        self._tokens = tokens
        self._store = store
        self._rules = rules
        self._writes = writes
        self._record = record

    async def reply(self, request: Request) -> Reply | None:
        """Return what is sent back."""
        self._record.tell(f"{request.method} {request.target}")
        if (request.method, request.path) == ("POST", "/token"):
            if not request.is_form:
                self._record.fault("POST /token takes a form")
                return Reply(problem(422))
            answer = await self._token(request.body or {})
            return Reply(answer) if answer else None
        answer, headers = await self._called(request)
        return Reply(answer, headers) if answer else None

    async def _token(self, form: Json) -> Answer | None:
        is_refresh = form.get("grant_type") == "refresh_token"
        if is_refresh:
            token = form.get("refresh_token", "")
            self._record.refreshes.append(token)
            rule = await self._rules.next("refresh")
        else:
            self._record.sign_ins += 1
            rule = await self._rules.next("sign_in")
        if status := rule.get("answer"):
            error = {"error": "invalid_grant", "error_description": "no"} if status < 402 else {}
            return problem(status, retry_after=rule.get("retry_after"), **error)
        is_expired = rule.get("issue") == "expired"
        pair: Json | None
        if is_refresh:
            pair = self._tokens.refreshed(token, is_expired=is_expired)
            if pair is None:
                self._record.fault(f"{token} was used again, and so the session is ended")
                return problem(400, error="invalid_grant", error_description="spent")
        elif self._tokens.is_right(form.get("username", ""), form.get("password", "")):
            pair = self._tokens.begin(is_expired=is_expired)
        else:
            return problem(401, error="invalid_grant", error_description="no")
        return LOST if rule.get("lose") else Answer(200, pair)

    async def _called(self, request: Request) -> tuple[Answer | None, tuple[tuple[str, str], ...]]:
        kind, conversation, rest = _kind_of(request)
        is_write = kind in {"send", "edit", "delete", "react", "unreact", "read"}
        # A held call is judged when it goes on: all that wait see the same token refused.
        rule = {} if is_write else await self._rules.next(kind)
        if request.bearer not in self._tokens.good:
            return problem(401), (("WWW-Authenticate", "Bearer"),)
        if rule.get("lose"):
            return LOST, ()
        if status := rule.get("answer"):
            return problem(status, retry_after=rule.get("retry_after")), ()
        if is_write:
            return await self._write(kind, conversation, rest, request), ()
        if kind == "conversations":
            return Answer(200, [self._listed(*one) for one in self._conversations()]), ()
        history = self._store.conversations.get(conversation)
        if history is None:
            return problem(404), ()
        if kind == "history":
            return self._page(request, conversation, history)
        if kind == "conversation":
            return Answer(200, self._listed(conversation, history)), ()
        return problem(404), ()

    def _conversations(self) -> list[tuple[str, History]]:
        return [*self._store.conversations.items()]

    def _listed(self, conversation: str, history: History) -> Json:
        members = [{"username": "ana", "role": "member"}, {"username": "bruno", "role": "owner"}]
        return {
            "conversation_id": conversation,
            "type": "group",
            "title": "Equipe",
            "members": members,
            "metadata": {},
            "created_at": "2026-01-31T12:00:00.000Z",
            "member_count": 2,
            "peer": None,
            "role": "member",
            "last_message": history.messages.get(history.head),
            "unread": 0,
            "position": history.position,
            "unread_mentions": [],
        }

    def _page(
        self, request: Request, conversation: str, history: History
    ) -> tuple[Answer, tuple[tuple[str, str], ...]]:
        wanted = {
            name: int(value)
            for name, value in request.query.items()
            if name in {"limit", "before", "after", "around"}
        }
        position = history.position
        page, links = history.page(**wanted)
        self._record.served |= {(conversation, one["seq"], one["content"]) for one in page}
        told = [
            f"<{request.path}?" + "&".join(f"{k}={v}" for k, v in query.items()) + f'>; rel="{rel}"'
            for rel, query in links.items()
        ]
        headers = [("Chat4All-Position", position)]
        if told:
            headers.append(("Link", ", ".join(told)))
        return Answer(200, page), tuple(headers)

    async def _write(
        self, kind: str, conversation: str, rest: str, request: Request
    ) -> Answer | None:
        body = request.body or {}
        if wrong := wrong_body(kind, body):
            self._record.fault(f"the body of a {kind} is not as it should be: {wrong}: {body}")
            return problem(422)
        if kind == "send":
            fields = {"conversation_id": body.get("chat_id", body.get("conversation_id")), **body}
            return await self._writes.take(kind, body.get("message_id"), fields)
        parts = rest.split("/")
        fields = {"conversation_id": conversation, **body}
        if kind != "read":
            fields["message_id"] = parts[2]
        if kind in {"react", "unreact"}:
            fields["emoji"] = parts[4]
        identifier = body.get("change_id") or request.idempotency_key
        return await self._writes.take(kind, identifier, fields)


def _kind_of(request: Request) -> tuple[str, str, str]:
    """Return what is asked, of which conversation, and the rest of the path."""
    method, path = request.method, request.path
    if (method, path) == ("POST", "/v1/messages"):
        return "send", "", ""
    if (method, path) == ("GET", "/v1/conversations"):
        return "conversations", "", ""
    if not (match := _CONVERSATION.fullmatch(path)):
        return f"{method} {path}", "", ""
    conversation, rest = match[1], match[2] or ""
    match method, rest.split("/")[1:]:
        case "GET", []:
            kind = "conversation"
        case "GET", ["messages"]:
            kind = "history"
        case "POST", ["read"]:
            kind = "read"
        case "PATCH", ["messages", _]:
            kind = "edit"
        case "DELETE", ["messages", _]:
            kind = "delete"
        case "PUT", ["messages", _, "reactions", _]:
            kind = "react"
        case "DELETE", ["messages", _, "reactions", _]:
            kind = "unreact"
        case _:
            kind = f"{method} {path}"
    return kind, conversation, rest
