"""Which messages clients may send: what each kind asks for, and what is wrong with a payload."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, TypeAlias

import msgspec

from chat4all.domain.errors import FieldError, InvalidInput
from chat4all.domain.files import NAME_MAX as FILE_NAME_MAX
from chat4all.domain.ids import canonical_uuid
from chat4all.domain.kinds import FILE_KINDS, PAYLOAD_MAX, Kind
from chat4all.domain.text import UnfitText, one_line, paragraphs
from chat4all.http.json_bodies import ERRORS_MAX, BodyReader
from chat4all.wire.payloads import (
    ALT_MAX,
    EMAIL_MAX,
    NAME_MAX,
    PHONE_MAX,
    Contact,
    Location,
    SentFile,
    read_payload,
)

CUSTOM_NESTING_MAX = 8
"""Objects and lists of a `custom` that may be open at once; the payload counts as one."""

KEY_MAX = 64

Payload: TypeAlias = Mapping[str, Any]
Check: TypeAlias = Callable[[bytes | None], Payload | None]
"""Returns the payload to keep; raises `InvalidInput`, with pointers from the body on."""

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder()


def payload_of(kind: Kind, given: Mapping[str, msgspec.Raw] | None) -> Payload | None:
    """Return the payload of a message of this kind, in its normal form. Raises `InvalidInput`."""
    kept = _CHECKS[kind](None if given is None else _encoder.encode(given))
    if kept is not None and len(_encoder.encode(kept)) > PAYLOAD_MAX:
        raise _invalid("/payload", f"at most {PAYLOAD_MAX:,} bytes")
    return kept


def _invalid(pointer: str, detail: str) -> InvalidInput:
    return InvalidInput([FieldError(pointer, detail)])


def _of_text(raw: bytes | None) -> None:
    if raw is not None:
        raise _invalid("/payload", "a text has none")


def _refused(why: str, _: bytes | None) -> None:
    raise _invalid("/kind", why)


def _of_shape(reader: BodyReader[Any], raw: bytes | None) -> Payload:
    given = _required(raw)
    try:
        kept: Payload = _decoder.decode(_encoder.encode(reader.read(given)))
    except InvalidInput as error:
        raise _within_payload(error.errors) from None
    return kept


def _of_custom(raw: bytes | None) -> Payload:
    try:
        payload = read_payload(_required(raw))
    except ValueError as error:
        raise _invalid("/payload", str(error)) from None
    errors: list[FieldError] = []
    kept: Payload = _checked(payload, "", 1, errors)
    if errors:
        raise _within_payload(errors)
    return kept


def _required(raw: bytes | None) -> bytes:
    if raw is None:
        raise _invalid("/payload", "this field is missing")
    return raw


def _within_payload(errors: Sequence[FieldError]) -> InvalidInput:
    return InvalidInput([FieldError("/payload" + one.pointer, one.detail) for one in errors])


def _checked(value: Any, pointer: str, level: int, errors: list[FieldError]) -> Any:
    """Return a value with its texts in their normal form; add what is wrong with it."""
    if len(errors) == ERRORS_MAX:
        return None
    if isinstance(value, dict | list) and level > CUSTOM_NESTING_MAX:
        errors.append(FieldError(pointer, f"nested deeper than {CUSTOM_NESTING_MAX}"))
        return None
    match value:
        case str():
            return value and _kept(partial(paragraphs, most=PAYLOAD_MAX), value, pointer, errors)
        case list():
            return [
                _checked(one, f"{pointer}/{place}", level + 1, errors)
                for place, one in enumerate(value)
            ]
        case dict():
            return dict(_checked_members(value, pointer, level, errors))
        case _:
            return value


def _checked_members(
    members: Mapping[str, Any], pointer: str, level: int, errors: list[FieldError]
) -> Iterator[tuple[str, Any]]:
    seen = set()
    for key, value in members.items():
        if len(errors) == ERRORS_MAX:
            return
        try:
            name = one_line(key, KEY_MAX)
            if name in seen:
                raise UnfitText("two keys are the same text")
        except UnfitText as error:
            errors.append(FieldError(pointer, f"a key: {error}"))
            continue
        seen.add(name)
        below = pointer + "/" + name.replace("~", "~0").replace("/", "~1")
        yield name, _checked(value, below, level + 1, errors)


def _kept(
    rule: Callable[[str], str], text: str, pointer: str, errors: list[FieldError]
) -> str | None:
    try:
        return rule(text)
    except UnfitText as error:
        errors.append(FieldError(pointer, str(error)))
        return None


def _line(most: int, text: str | None) -> str | None:
    return text if text is None else one_line(text, most)


def _lines(most: int, texts: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(one_line(text, most) for text in texts)


_NAME = partial(_line, NAME_MAX)
_OF_FILE = partial(
    _of_shape,
    BodyReader(
        SentFile,
        {
            "file_id": canonical_uuid,
            "name": partial(_line, FILE_NAME_MAX),
            "alt": partial(_line, ALT_MAX),
        },
    ),
)
_CHECKS: Mapping[Kind, Check] = {
    Kind.TEXT: _of_text,
    **dict.fromkeys(FILE_KINDS, _OF_FILE),
    Kind.LOCATION: partial(_of_shape, BodyReader(Location, {"name": _NAME, "address": _NAME})),
    Kind.CONTACT: partial(
        _of_shape,
        BodyReader(
            Contact,
            {
                "name": _NAME,
                "phones": partial(_lines, PHONE_MAX),
                "emails": partial(_lines, EMAIL_MAX),
                "username": partial(_line, 32),
            },
        ),
    ),
    Kind.SYSTEM: partial(_refused, "only the service itself sends these"),
    Kind.CUSTOM: _of_custom,
}
