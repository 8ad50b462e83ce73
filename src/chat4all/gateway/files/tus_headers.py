"""The headers of tus 1.0.0 (https://tus.io/protocols/resumable-upload)."""

import base64
import binascii
import re
from collections.abc import Mapping
from email.utils import formatdate
from http import HTTPStatus
from typing import NamedTuple

from chat4all.domain.file_names import file_name
from chat4all.http.problems import BadRequest

VERSION = "1.0.0"
EXTENSIONS = "creation,creation-with-upload,checksum,expiration,termination"
CONTENT_TYPE = "application/offset+octet-stream"

METADATA_MAX = 4_096
"""Characters of `Upload-Metadata`."""

_number = re.compile(r"\d{1,15}\Z", re.ASCII)
_media_type = re.compile(r"[a-z0-9!#$&^_.+-]{1,63}/[a-z0-9!#$&^_.+-]{1,63}\Z")

ANY_BYTES = "application/octet-stream"


class Described(NamedTuple):
    """What the metadata of an upload say."""

    name: str
    media_type: str


def number(headers: Mapping[str, str], name: str) -> int:
    """Return the number in a header. Raises `BadRequest` with 400."""
    text = headers.get(name, "").strip()
    if _number.match(text) is None:
        raise bad(f"{name} is a whole number of bytes")
    return int(text)


def http_date(milliseconds: int) -> str:
    """Return a time as HTTP writes it."""
    return formatdate(milliseconds / 1000, usegmt=True)


def read_metadata(text: str) -> Described:
    """Return what `Upload-Metadata` says, by the keys that clients have for it.

    Raises `BadRequest` with 400 for what tus does not allow.
    """
    if len(text) > METADATA_MAX:
        raise bad(f"Upload-Metadata has at most {METADATA_MAX:,} characters")
    values: dict[str, str] = {}
    for pair in text.split(",") if text.strip() else ():
        key, _, encoded = pair.strip().partition(" ")
        if not key or not key.isascii() or key in values:
            raise bad("Upload-Metadata has pairs of a key, once, and a value in base64")
        try:
            values[key] = base64.b64decode(encoded.strip(), validate=True).decode()
        except (binascii.Error, ValueError):
            raise bad("a value in Upload-Metadata is not base64 of UTF-8") from None
    named = values.get("filename") or values.get("name") or ""
    return Described(
        file_name(named), declared_type(values.get("filetype") or values.get("type") or "")
    )


def declared_type(text: str) -> str:
    """Return a media type without its parameters; that of any bytes for what is none."""
    declared = text.partition(";")[0].strip().lower()
    return declared if _media_type.match(declared) else ANY_BYTES


def bad(detail: str) -> BadRequest:
    """Return the error of a request that is not as tus has it."""
    return BadRequest(HTTPStatus.BAD_REQUEST, detail)
