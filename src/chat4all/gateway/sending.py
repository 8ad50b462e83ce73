"""`POST /v1/messages`, kept lean.

FastAPI's overhead for a request is more than all the work here; so this is a fast route, whose body
type also makes its schema in /docs (docs/decisions/0003-lean-send-route.md).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from http import HTTPStatus
from typing import Any

import msgspec
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from chat4all.domain.errors import FieldError, InvalidInput
from chat4all.domain.ids import Username, conversation_id, message_id
from chat4all.domain.kinds import Kind
from chat4all.domain.messages import CONTENT_MAX, MessageDraft
from chat4all.domain.text import paragraphs
from chat4all.gateway.payloads import payload_of
from chat4all.http.access_log import CALLER
from chat4all.http.bearer import bearer_token
from chat4all.http.bodies import read_body
from chat4all.http.fast_routes import FastRoute
from chat4all.http.json_bodies import BodyReader
from chat4all.http.limits import Limit
from chat4all.http.openapi import (
    TOKEN_SECURITY,
    json_content,
    larger_body,
    problem_meaning,
    problems,
    rate_limited,
    ref,
)
from chat4all.http.problems import problem_response
from chat4all.http.route_limits import limits_for_body, limits_of
from chat4all.http.tracing import trace_headers
from chat4all.usecases.sending import Sending
from chat4all.usecases.signing_in import SigningIn
from chat4all.wire.body_sizes import MESSAGE_BODY_MAX
from chat4all.wire.messages import EXAMPLE_CHAT, EXAMPLE_MESSAGE, Accepted, SendMessage

SEND_PATH = "/v1/messages"

CONVERSATIONS_MAX = 4_096
"""Canonical ids that are cached: busy conversations come again and again."""

_PROBLEMS = {
    **problems(400, 401, 404, 415, 422, 429, 503),
    **problem_meaning(409, "The file is held back until it has been checked, or was refused then."),
    **larger_body(MESSAGE_BODY_MAX),
}

SEND_OPERATION = {
    "tags": ["Messages"],
    "summary": "Send a message",
    "operationId": "send_message",
    "description": (
        "202 once the message is durable. Give a `message_id` of your own to make retries safe: "
        "the same id again is the same message. On 503 retry with the `message_id` of the answer. "
        "Your own read marker moves to your message; `mark_read: false` leaves it where it is. "
        "A reply to a message that you have just sent waits until that is stored."
    ),
    "security": TOKEN_SECURITY,
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "allOf": [
                        ref(SendMessage),
                        {"anyOf": [{"required": ["content"]}, {"required": ["kind", "payload"]}]},
                    ],
                    "oneOf": [{"required": ["chat_id"]}, {"required": ["conversation_id"]}],
                },
                "example": {"chat_id": EXAMPLE_CHAT, "content": "Olá! 🎉"},
            }
        },
    },
    "responses": {
        "202": {
            "description": "Accepted: it is durable and will appear once.",
            "headers": rate_limited("send", 200, 4),
            "content": json_content(
                Accepted, example={"status": "accepted", "message_id": EXAMPLE_MESSAGE}
            ),
        },
        **{str(s): r for s, r in _PROBLEMS.items()},
    },
}

_CHAT_NAMES = ("chat_id", "conversation_id")
_encoder = msgspec.json.Encoder()
_JSON = (b"content-type", b"application/json")
_conversation_id = lru_cache(CONVERSATIONS_MAX)(conversation_id)


def send_route(
    signing_in: SigningIn, sending: Sending, rate: Limit, accepted: Callable[[], None]
) -> FastRoute:
    """Return the route that sends. `accepted` is called for every 202."""
    endpoint = _SendEndpoint(signing_in, sending, accepted)
    return FastRoute(SEND_PATH, "POST", endpoint, limits_for_body(MESSAGE_BODY_MAX, rate))


class _SendEndpoint:
    def __init__(
        self, signing_in: SigningIn, sending: Sending, accepted: Callable[[], None]
    ) -> None:
        self._signing_in = signing_in
        self._sending = sending
        self._accepted = accepted

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 202 once the log has the message, and a problem in every other case."""
        try:
            session = await self._signing_in.authenticate(bearer_token(scope))
            scope[CALLER] = session
            limits_of(scope).rate.take(scope, session.username)
            draft = read_draft(await read_body(scope, receive))
            accepted = await self._sending.send(session.username, draft, trace_headers(scope))
        except ClientDisconnect:
            return
        except Exception as error:
            await problem_response(error, SEND_PATH)(scope, receive, send)
            return
        self._accepted()
        body = _encoder.encode(Accepted(accepted))
        # What a `Response` does, at a tenth of the cost.
        await send(
            {
                "type": "http.response.start",
                "status": HTTPStatus.ACCEPTED,
                "headers": [_JSON, (b"content-length", b"%d" % len(body))],
            }
        )
        await send({"type": "http.response.body", "body": body})


def _errors_among(given: Mapping[str, Any]) -> Sequence[FieldError]:
    """Say what is wrong with the two names of one field, with a payload, and with a text's lack."""
    errors = []
    kind, payload = given.get("kind", Kind.TEXT), given.get("payload")
    if "content" not in given and kind is Kind.TEXT:
        errors.append(FieldError("/content", "this field is missing"))
    match sum(name in given for name in _CHAT_NAMES):
        case 0:
            errors.append(FieldError("/chat_id", "this field is missing"))
        case 2:
            errors.append(FieldError("/chat_id", "conversation_id is the same: give one"))
    if msgspec.UNSET not in (kind, payload):
        try:
            payload_of(kind, payload)
        except InvalidInput as error:
            errors += error.errors
    return errors


def _content(text: str | msgspec.UnsetType) -> str | msgspec.UnsetType:
    return text if text is msgspec.UNSET else paragraphs(text, CONTENT_MAX)


_reader = BodyReader(SendMessage, {"content": _content}, among=_errors_among)


def read_draft(raw: bytes) -> MessageDraft:
    """Return the draft that a body asks for, with canonical ids; raises as `BodyReader.read`."""
    body = _reader.read(raw)
    chat = body.chat_id if body.chat_id is not msgspec.UNSET else body.conversation_id
    content = body.content
    lacks_text = content is msgspec.UNSET and body.kind is Kind.TEXT
    if (
        lacks_text
        or chat is msgspec.UNSET
        or msgspec.UNSET not in (body.chat_id, body.conversation_id)
    ):
        raise InvalidInput(_errors_among(_given(body)))
    draft = MessageDraft(
        _conversation_id(chat),
        "" if content is msgspec.UNSET else content,
        message_id(body.message_id) if body.message_id else None,
        body.mark_read,
    )
    is_plain = body.kind is Kind.TEXT and body.payload is None
    if is_plain and body.reply_to is None and not body.mentions:
        return draft
    return replace(
        draft,
        kind=body.kind,
        payload=payload_of(body.kind, body.payload),
        reply_to=message_id(body.reply_to) if body.reply_to else None,
        mentions=tuple(map(Username, body.mentions)),
    )


def _given(body: SendMessage) -> Mapping[str, Any]:
    given = {name: getattr(body, name) for name in (*_CHAT_NAMES, "content", "kind", "payload")}
    return {name: value for name, value in given.items() if value is not msgspec.UNSET}
