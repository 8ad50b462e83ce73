"""The `Idempotency-Key` of requests that create (draft-ietf-httpapi-idempotency-key-header)."""

import re
from typing import Annotated, TypeAlias

from fastapi import Depends, Header
from pydantic import AfterValidator, WithJsonSchema

from chat4all.domain.ids import UUID_PATTERN

_UUID = UUID_PATTERN.removeprefix("^").removesuffix("$")
_KEY = re.compile(rf'(?P<quote>"?)(?P<key>{_UUID})(?P=quote)', re.IGNORECASE)
_EXAMPLES = ['"8e03978e-40d5-43e8-bc93-6894a57f9324"']


def _canonical(lines: list[str]) -> list[str]:
    match = _KEY.fullmatch(lines[0].strip()) if len(lines) == 1 else None
    if match is None:
        raise ValueError("one UUID, quoted or bare")
    return [match["key"].lower()]


# FastAPI validates it, so that what is wrong with it is told together with what is wrong with the
# body. A list, since of several lines it would otherwise take the first.
_Lines: TypeAlias = Annotated[
    list[str], AfterValidator(_canonical), WithJsonSchema({"type": "string"})
]


async def _read_key(
    lines: Annotated[
        _Lines | None,
        Header(
            alias="Idempotency-Key",
            description="A UUID, quoted or bare. For 24 h the same request with the same key gets "
            "the same answer and creates nothing again; another request with it is 422, and one "
            "that is still in flight 409.",
            examples=_EXAMPLES,
        ),
    ] = None,
) -> str | None:
    return lines[0] if lines else None


async def _read_change_id(
    lines: Annotated[
        _Lines | None,
        Header(
            alias="Idempotency-Key",
            description="Your own id of this change, a UUID, quoted or bare: sending it again is "
            "safe, the change is made once.",
            examples=_EXAMPLES,
        ),
    ] = None,
) -> str | None:
    return lines[0] if lines else None


IdempotencyKey: TypeAlias = Annotated[str | None, Depends(_read_key)]
"""The key in its canonical form, whichever way it was written; None for a request without one."""

ChangeIdKey: TypeAlias = Annotated[str | None, Depends(_read_change_id)]
"""The same header, as the id of a change of a message, on routes without a body."""
