"""The routes of files in `/openapi.json`."""

from collections.abc import Mapping
from typing import Any

from chat4all.domain.files import THUMBNAIL_SIZES
from chat4all.domain.ids import UUID_PATTERN
from chat4all.gateway.files.paths import (
    FILE_PATH,
    FILES_PATH,
    LINK_PARAMETER,
    THUMBNAIL_PATH,
)
from chat4all.gateway.files.thumbnails import SIZE_DEFAULT, SIZE_MAX, SIZE_PARAMETER
from chat4all.gateway.files.tus_headers import CONTENT_TYPE, VERSION
from chat4all.http.limits import DOWNLOAD, UPLOAD
from chat4all.http.openapi import problem_meaning, problems, rate_limited

_TUS = (
    "Any client of [tus 1.0.0](https://tus.io/protocols/resumable-upload) can be used. "
    "Extensions: creation, creation-with-upload, checksum, expiration, termination."
)
_SECURITY: list[dict[str, list[str]]] = [{"OAuth2PasswordBearer": []}]
_BYTES = {CONTENT_TYPE: {"schema": {"type": "string", "format": "binary"}}}


def _header(name: str, description: str, example: Any, *, required: bool = False) -> dict[str, Any]:
    kind = "integer" if isinstance(example, int) else "string"
    return {
        "name": name,
        "in": "header",
        "required": required,
        "description": description,
        "schema": {"type": kind, "example": example},
    }


def _answered(**headers: tuple[str, Any]) -> dict[str, Any]:
    described = {}
    for name, (description, example) in headers.items():
        kind = "integer" if isinstance(example, int) else "string"
        described[name.replace("_", "-")] = {
            "description": description,
            "schema": {"type": kind, "example": example},
        }
    return described


_ID = {
    "name": "file_id",
    "in": "path",
    "required": True,
    "schema": {"type": "string", "pattern": UUID_PATTERN},
}
_RESUMABLE = _header("Tus-Resumable", "The version of tus.", VERSION, required=True)
_CHECKSUM = _header(
    "Upload-Checksum",
    "`sha1` or `sha256` of this body, in base64: nothing of it counts unless it is right.",
    "sha256 47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
)
_LINK = {
    "name": LINK_PARAMETER,
    "in": "query",
    "required": False,
    "description": "From `POST …/link`, in place of a token.",
    "schema": {"type": "string"},
}
_OFFSET = ("How many bytes are durable.", 0)
_EXPIRES = (
    "Until when it is kept if nothing is added to it, and no message names it.",
    "Sat, 31 Jan 2026 12:00:00 GMT",
)
_RATE = rate_limited("upload", *UPLOAD)


def _problems(*statuses: int, **meanings: str) -> dict[str, Any]:
    found = problems(*statuses)
    for status, meaning in meanings.items():
        found |= problem_meaning(int(status.removeprefix("of_")), meaning)
    return {str(status): response for status, response in sorted(found.items(), key=str)}


_OF_ANY = {
    "of_400": "A header is missing or not as tus has it.",
    "of_412": "Another version of tus; see `Tus-Version`.",
    "of_501": "This installation has no store for files.",
}
_OF_BODY = {
    "of_413": "More bytes than a file may have, or than there is room for: see `detail`.",
    "of_415": f"The body is not `{CONTENT_TYPE}`.",
    "of_460": "The body is not what `Upload-Checksum` says. Nothing of it counts.",
    "of_503": "The store does not answer, or too many are uploading. What is acknowledged stays.",
    "of_507": "The store is full. What is acknowledged stays.",
}

_OPTIONS: dict[str, Any] = {
    "tags": ["Files"],
    "summary": "See what uploads may be",
    "description": _TUS,
    "responses": {
        "204": {
            "description": "What there is of tus, and the largest file.",
            "headers": _answered(
                Tus_Version=("Versions.", VERSION),
                Tus_Extension=("Extensions.", "creation,checksum"),
                Tus_Max_Size=("Bytes of a file.", 2**31),
                Tus_Checksum_Algorithm=("Of checksums.", "sha1,sha256"),
            ),
        }
    },
}

FILE_OPERATIONS: Mapping[tuple[str, str], dict[str, Any]] = {
    (FILES_PATH, "options"): {**_OPTIONS, "operationId": "upload_options"},
    (FILE_PATH, "options"): {
        **_OPTIONS,
        "operationId": "upload_options_of_file",
        "parameters": [_ID],
    },
    (FILES_PATH, "post"): {
        "tags": ["Files"],
        "summary": "Begin an upload",
        "operationId": "begin_upload",
        "description": f"{_TUS} The body may have the first bytes.",
        "security": _SECURITY,
        "parameters": [
            _RESUMABLE,
            _header("Upload-Length", "Bytes of the file.", 48_213, required=True),
            _header(
                "Upload-Metadata",
                "Keys with values in base64: `filename`, `filetype`.",
                "filename cHJhaWEuanBn,filetype aW1hZ2UvanBlZw==",
            ),
            _CHECKSUM,
        ],
        "requestBody": {"required": False, "content": _BYTES},
        "responses": {
            "201": {
                "description": "Begun: send the bytes to its `Location`.",
                "headers": _RATE
                | _answered(
                    Location=("The upload, and the file that it becomes.", "/v1/files/…"),
                    Upload_Offset=_OFFSET,
                    Upload_Expires=_EXPIRES,
                ),
            },
            **_problems(401, 429, **_OF_ANY, **_OF_BODY),
        },
    },
    (FILE_PATH, "patch"): {
        "tags": ["Files"],
        "summary": "Add bytes to an upload",
        "operationId": "append_to_upload",
        "description": (
            "204 once the bytes are durable. Whatever of a body arrives counts, if it breaks off "
            "too: ask with HEAD (and `Tus-Resumable`) where to go on, at any gateway."
        ),
        "security": _SECURITY,
        "parameters": [
            _ID,
            _RESUMABLE,
            _header("Upload-Offset", "Where the body's bytes belong.", 0, required=True),
            _CHECKSUM,
        ],
        "requestBody": {"required": True, "content": _BYTES},
        "responses": {
            "204": {
                "description": "Added.",
                "headers": _RATE | _answered(Upload_Offset=_OFFSET, Upload_Expires=_EXPIRES),
            },
            **_problems(
                401,
                404,
                429,
                of_409="Another offset, or another request has taken the upload: ask with HEAD.",
                of_423="Another request is adding bytes; a HEAD makes it let go.",
                **_OF_ANY,
                **_OF_BODY,
            ),
        },
    },
    (FILE_PATH, "delete"): {
        "tags": ["Files"],
        "summary": "Give up an upload or a file",
        "operationId": "delete_file",
        "description": "Only of one's own, and of none that a message names.",
        "security": _SECURITY,
        "parameters": [_ID, _RESUMABLE],
        "responses": {
            "204": {"description": "Gone.", "headers": _RATE},
            **_problems(401, 404, 429, 503, of_409="A message names it: delete that.", **_OF_ANY),
        },
    },
    (FILE_PATH, "get"): {
        "tags": ["Files"],
        "summary": "Download a file",
        "operationId": "download_file",
        "description": (
            "For its uploader, and the members of a conversation with a message that names it. "
            "Pictures, sounds and films are shown in place, everything else is saved. "
            "HEAD with `Tus-Resumable` says how far an upload is: `Upload-Offset`."
        ),
        "security": [*_SECURITY, {}],
        "parameters": [
            _ID,
            _header("Range", "One range of bytes.", "bytes=0-1023"),
            _header("If-Range", "The range only of these bytes, or else all.", '"…"'),
            _header("If-None-Match", "What the client has.", '"…"'),
            _LINK,
        ],
        "responses": {
            "200": {
                "description": "The file.",
                "headers": rate_limited("download", *DOWNLOAD)
                | _answered(
                    ETag=("Names these bytes: their SHA-256.", '"…"'),
                    Content_Disposition=("Its name.", 'inline; filename="praia.jpg"'),
                ),
                "content": {"*/*": {"schema": {"type": "string", "format": "binary"}}},
            },
            "206": {
                "description": "A part of the file.",
                "headers": _answered(Content_Range=("Which.", "bytes 0-1023/48213")),
                "content": {"*/*": {"schema": {"type": "string", "format": "binary"}}},
            },
            "304": {"description": "The client has it."},
            **_problems(
                401,
                404,
                429,
                503,
                of_409="It is held back until it has been checked.",
                of_416="The range begins after the end.",
                of_501=_OF_ANY["of_501"],
            ),
        },
    },
    (THUMBNAIL_PATH, "get"): {
        "tags": ["Files"],
        "summary": "Show a picture small",
        "operationId": "show_thumbnail",
        "description": (
            "A WebP of the first frame, turned as it is meant to be seen, with none of the "
            "picture's metadata. For those who may have the file; 404 for what is no picture."
        ),
        "security": [*_SECURITY, {}],
        "parameters": [
            _ID,
            {
                "name": SIZE_PARAMETER,
                "in": "query",
                "required": False,
                "description": "Pixels of the square into which it is to fit: it gets the next "
                f"larger one of {', '.join(map(str, THUMBNAIL_SIZES))}.",
                "schema": {
                    "type": "integer",
                    "minimum": 1,
                    "maximum": SIZE_MAX,
                    "default": SIZE_DEFAULT,
                },
            },
            _LINK,
        ],
        "responses": {
            "200": {
                "description": "The thumbnail.",
                "headers": rate_limited("download", *DOWNLOAD)
                | _answered(ETag=("Names these bytes.", '"…-480"')),
                "content": {"image/webp": {"schema": {"type": "string", "format": "binary"}}},
            },
            "304": {"description": "The client has it."},
            **_problems(
                401,
                404,
                422,
                429,
                503,
                of_409="It is held back until it has been checked.",
                of_501=_OF_ANY["of_501"],
            ),
        },
    },
}
