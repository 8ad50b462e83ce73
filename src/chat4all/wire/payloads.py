"""What messages of each kind have besides their text, and how that is read and kept."""

import json
from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from chat4all.domain.files import NAME_MAX as FILE_NAME_MAX
from chat4all.domain.ids import UUID_PATTERN
from chat4all.domain.kinds import Kind

NUMBER_MAX = 2**53
"""The largest number that every JSON parser represents exactly (RFC 8259, section 6)."""

_DIGITS_MAX = len(str(NUMBER_MAX))

NAME_MAX = 200
"""Characters of a name or an address in a payload."""

PHONE_MAX = 40
EMAIL_MAX = 320
REACHED_MAX = 10
"""Phone numbers, and e-mail addresses, of one contact."""

ALT_MAX = 1_000
"""Characters of the description of an image, audio or video."""

_EXAMPLE_FILE = "01980f4e-9b2a-7c31-8d44-5a1f2e3d4c5b"


def _line(most: int, *examples: str) -> Meta:
    # Checked by the domain, in its normal form.
    return Meta(extra_json_schema={"minLength": 1, "maxLength": most}, examples=list(examples))


class Location(msgspec.Struct, omit_defaults=True, forbid_unknown_fields=True):
    """The payload of a `location`: a place on earth, by WGS 84."""

    lat: Annotated[float, Meta(ge=-90, le=90, description="Degrees north.", examples=[-23.5505])]
    lon: Annotated[float, Meta(ge=-180, le=180, description="Degrees east.", examples=[-46.6333])]
    name: Annotated[str, _line(NAME_MAX, "Praça da Sé")] | None = None
    address: Annotated[str, _line(NAME_MAX, "Sé, São Paulo")] | None = None


class Contact(msgspec.Struct, omit_defaults=True, forbid_unknown_fields=True):
    """The payload of a `contact`: somebody, and how to reach them."""

    name: Annotated[str, _line(NAME_MAX, "Ana Souza")]
    phones: Annotated[
        tuple[Annotated[str, _line(PHONE_MAX, "+55 11 91234-5678")], ...],
        Meta(max_length=REACHED_MAX),
    ] = ()
    emails: Annotated[
        tuple[Annotated[str, _line(EMAIL_MAX, "ana@example.com")], ...],
        Meta(max_length=REACHED_MAX),
    ] = ()
    username: Annotated[str, _line(32, "ana")] | None = None


class SentFile(msgspec.Struct, omit_defaults=True, forbid_unknown_fields=True):
    """The payload of an `image`, `file`, `audio` or `video` that is sent: a file of the sender's.

    `name` replaces the name that it was uploaded with; `alt` describes it for those who cannot see
    or hear it.
    """

    file_id: Annotated[str, Meta(pattern=UUID_PATTERN, max_length=36, examples=[_EXAMPLE_FILE])]
    name: Annotated[str, _line(FILE_NAME_MAX, "praia.jpg")] | None = None
    alt: Annotated[str, _line(ALT_MAX, "Two people on a beach")] | None = None


class AttachedFile(msgspec.Struct, omit_defaults=True):
    """The payload of an `image`, `file`, `audio` or `video`: a file, and what is in it.

    `type` is the media type that was found in its content. `width` and `height` are in pixels;
    `blurhash` is a blurred picture in some 30 characters. They are missing where they are unknown.
    """

    file_id: Annotated[str, Meta(examples=[_EXAMPLE_FILE])]
    name: Annotated[str, _line(FILE_NAME_MAX, "praia.jpg")]
    size: Annotated[int, Meta(ge=0, description="Bytes.", examples=[48_213])]
    type: Annotated[str, Meta(examples=["image/jpeg"])]
    sha256: Annotated[str, Meta(pattern="^[0-9a-f]{64}$", max_length=64)]
    alt: Annotated[str, _line(ALT_MAX, "Two people on a beach")] | None = None
    width: Annotated[int, Meta(ge=1, examples=[1_200])] | None = None
    height: Annotated[int, Meta(ge=1, examples=[800])] | None = None
    blurhash: str | None = None


SENT_KINDS = tuple(kind for kind in Kind if kind is not Kind.SYSTEM)
"""What clients may send."""

PAYLOADS: Mapping[Kind, type[msgspec.Struct] | None] = {
    **dict.fromkeys(Kind),
    **dict.fromkeys((Kind.IMAGE, Kind.FILE, Kind.AUDIO, Kind.VIDEO), AttachedFile),
    Kind.LOCATION: Location,
    Kind.CONTACT: Contact,
}
"""The type of each kind's payload; None: any object, or for `text` none at all."""

SENT_PAYLOADS: Mapping[Kind, type[msgspec.Struct] | None] = {
    kind: SentFile if struct is AttachedFile else struct for kind, struct in PAYLOADS.items()
}
"""The same, as clients send them: the server adds to what names a file."""

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder()


def read_payload(raw: bytes) -> dict[str, Any]:
    """Return a JSON object that msgspec takes for JSON.

    Raises `ValueError` for a number that not every parser represents. The answer depends on the
    bytes alone: a parser's own limits are the interpreter's (EXACTNESS 1).
    """
    found: dict[str, Any] = json.loads(raw, parse_int=_integer, parse_float=_float)
    return found


def _integer(digits: str) -> int:
    if len(digits.removeprefix("-")) > _DIGITS_MAX or abs(number := int(digits)) > NUMBER_MAX:
        raise ValueError("a number beyond 2^53")
    return number


def _float(digits: str) -> float:
    number = float(digits)
    if not isfinite(number):
        raise ValueError("a number that is too large")
    return number


def as_column(value: Mapping[str, Any] | Sequence[str]) -> str:
    """Return a payload or names as a store keeps them."""
    return _encoder.encode(value).decode()


def payload_in(column: str | None) -> dict[str, Any] | None:
    """Return the payload that a store keeps; None where there is none, or where it is emptied."""
    found: dict[str, Any] | None = _decoder.decode(column) if column else None
    return found


def names_in(column: str | None) -> tuple[Any, ...]:
    """Return the names that a store keeps."""
    return tuple(_decoder.decode(column)) if column else ()
