"""The `Idempotency-Key` of requests that create (draft-ietf-httpapi-idempotency-key-header)."""

import re
from typing import Annotated, TypeAlias

from fastapi import Depends, Header, Request

from chat4all.domain.errors import FieldError, InvalidInput
from chat4all.domain.ids import UUID_PATTERN

_UUID = UUID_PATTERN.removeprefix("^").removesuffix("$")
_KEY = re.compile(rf'(?P<quote>"?)(?P<key>{_UUID})(?P=quote)', re.IGNORECASE)


async def _read_key(
    request: Request,
    _for_docs: Annotated[
        str | None,
        Header(
            alias="Idempotency-Key",
            description="A UUID, quoted or bare. For 24 h the same request with the same key gets "
            "the same answer and creates nothing again; another request with it is 422, and one "
            "that is still in flight 409.",
            examples=['"8e03978e-40d5-43e8-bc93-6894a57f9324"'],
        ),
    ] = None,
) -> str | None:
    return _key_of(request)


async def _read_change_id(
    request: Request,
    _for_docs: Annotated[
        str | None,
        Header(
            alias="Idempotency-Key",
            description="Your own id of this change, a UUID, quoted or bare: sending it again is "
            "safe, the change is made once.",
            examples=['"8e03978e-40d5-43e8-bc93-6894a57f9324"'],
        ),
    ] = None,
) -> str | None:
    return _key_of(request)


def _key_of(request: Request) -> str | None:
    values = request.headers.getlist("Idempotency-Key")
    if not values:
        return None
    match = _KEY.fullmatch(values[0].strip()) if len(values) == 1 else None
    if match is None:
        detail = "one UUID, quoted or bare"
        raise InvalidInput([FieldError("/header/Idempotency-Key", detail)])
    return match["key"].lower()


IdempotencyKey: TypeAlias = Annotated[str | None, Depends(_read_key)]
"""The key in its canonical form, whichever way it was written; None for a request without one."""

ChangeIdKey: TypeAlias = Annotated[str | None, Depends(_read_change_id)]
"""The same header, as the id of a change of a message, on routes without a body."""
