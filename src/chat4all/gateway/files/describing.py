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
from chat4all.http.openapi import TOKEN_SECURITY, problem_meaning, problems, rate_limited

_TUS = (
    "Any client of [tus 1.0.0](https://tus.io/protocols/resumable-upload) can be used. "
    "Extensions: creation, creation-with-upload, checksum, expiration, termination."
)
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
_RESUMABLE = {
    "name": "Tus-Resumable",
    "in": "header",
    "required": True,
    "description": "The version of tus.",
    "schema": {"type": "string", "enum": [VERSION]},
}
_CHECKSUM = _header(
    "Upload-Checksum",
    "`sha1` or `sha256`, and the digest of this body in base64. On a mismatch nothing is kept.",
    "sha256 47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
)
_LINK = {
    "name": LINK_PARAMETER,
    "in": "query",
    "required": False,
    "description": "The one in a URL from `POST …/link`, in place of a token.",
    "schema": {"type": "string"},
}
_OFFSET = ("How many bytes are durable.", 0)
_EXPIRES = (
    "When it is deleted, if nothing is added and no message names it by then.",
    "Sat, 31 Jan 2026 12:00:00 GMT",
)
_RATE = rate_limited("upload", *UPLOAD)


def _problems(*statuses: int, **meanings: str) -> dict[str, Any]:
    found = problems(*statuses)
    for status, meaning in meanings.items():
        found |= problem_meaning(int(status.removeprefix("of_")), meaning)
    return {str(status): response for status, response in sorted(found.items(), key=str)}


_OF_ANY = {
    "of_400": "A header is missing or malformed.",
    "of_412": "This version of tus is not supported; see `Tus-Version`.",
    "of_501": "This installation has no store for files.",
}
_OF_BODY = {
    "of_413": "More bytes than a file may have, or than there is room for; see `detail`.",
    "of_415": f"The body is not `{CONTENT_TYPE}`.",
    "of_460": "The body does not match `Upload-Checksum`. Nothing of it was kept.",
    "of_503": "The store does not answer, too many upload, or the body stood still for too long. "
    "What was acknowledged is kept.",
    "of_507": "The store is full. What was acknowledged is kept.",
}

_OPTIONS: dict[str, Any] = {
    "tags": ["Files"],
    "summary": "Describe the upload protocol",
    "description": _TUS,
    "responses": {
        "204": {
            "description": "The supported parts of tus, and the largest file.",
            "headers": _answered(
                Tus_Version=("Supported versions.", VERSION),
                Tus_Extension=("Supported extensions.", "creation,checksum"),
                Tus_Max_Size=("Size of the largest file, in bytes.", 2**31),
                Tus_Checksum_Algorithm=("Supported checksums.", "sha1,sha256"),
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
        "responses": _OPTIONS["responses"] | _problems(404),
    },
    (FILES_PATH, "post"): {
        "tags": ["Files"],
        "summary": "Begin an upload",
        "operationId": "begin_upload",
        "description": f"{_TUS} The body may contain the first bytes.",
        "security": TOKEN_SECURITY,
        "parameters": [
            _RESUMABLE,
            _header("Upload-Length", "Size of the file, in bytes.", 48_213, required=True),
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
                "description": "Begun. Send the bytes from `Upload-Offset` on to its `Location`.",
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
            "Answers 204 once the bytes are durable. What arrived of a body that broke off is "
            "kept, unless it has a checksum: ask for the offset with HEAD (and `Tus-Resumable`), "
            "and go on from there at any gateway."
        ),
        "security": TOKEN_SECURITY,
        "parameters": [
            _ID,
            _RESUMABLE,
            _header("Upload-Offset", "The offset of the body in the file.", 0, required=True),
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
                of_409="Not the upload's offset, or another request took it over: ask with HEAD.",
                of_423="Another request is adding bytes, and a HEAD stops it; or all bytes are "
                "here, and it is being finished.",
                **_OF_ANY,
                **_OF_BODY,
            ),
        },
    },
    (FILE_PATH, "delete"): {
        "tags": ["Files"],
        "summary": "Delete an upload or a file",
        "operationId": "delete_file",
        "description": "Only your own, and only while no message names it.",
        "security": TOKEN_SECURITY,
        "parameters": [_ID, _RESUMABLE],
        "responses": {
            "204": {"description": "Deleted.", "headers": _RATE},
            **_problems(401, 404, 429, 503, of_409="Delete the message that names it.", **_OF_ANY),
        },
    },
    (FILE_PATH, "get"): {
        "tags": ["Files"],
        "summary": "Download a file",
        "operationId": "download_file",
        "description": (
            "For its uploader, and the members of a conversation with a message that names it. "
            "Images, audio and video are shown in place, everything else is downloaded. "
            "HEAD with `Tus-Resumable` returns the offset of an upload: `Upload-Offset`."
        ),
        "security": [*TOKEN_SECURITY, {}],
        "parameters": [
            _ID,
            _header("Range", "One range of bytes.", "bytes=0-1023"),
            _header("If-Range", "An `ETag`: if it is another, all is sent.", '"…"'),
            _header("If-None-Match", "An `ETag` that the client has.", '"…"'),
            _header("If-Match", "An `ETag`: if it is another, nothing is sent.", '"…"'),
            _LINK,
        ],
        "responses": {
            "200": {
                "description": "The file.",
                "headers": rate_limited("download", *DOWNLOAD)
                | _answered(
                    ETag=("The SHA-256 of the bytes.", '"…"'),
                    Content_Disposition=(
                        "Shown or saved; its name.",
                        'inline; filename="praia.jpg"',
                    ),
                ),
                "content": {"*/*": {"schema": {"type": "string", "format": "binary"}}},
            },
            "206": {
                "description": "A part of the file.",
                "headers": _answered(Content_Range=("Which part.", "bytes 0-1023/48213")),
                "content": {"*/*": {"schema": {"type": "string", "format": "binary"}}},
            },
            "304": {"description": "The client has it."},
            **_problems(
                401,
                404,
                412,
                429,
                503,
                of_409="The file is held back until it has been checked.",
                of_416="The range begins after the end.",
                of_423="To HEAD with `Tus-Resumable`: all bytes are here; it is being finished.",
                of_400="The query has too many fields.",
                of_501=_OF_ANY["of_501"],
            ),
        },
    },
    (THUMBNAIL_PATH, "get"): {
        "tags": ["Files"],
        "summary": "Get a thumbnail",
        "operationId": "show_thumbnail",
        "description": (
            "A WebP of the first frame, rotated as the picture's metadata says, and without that "
            "metadata. For those who may have the file; 404 if it is not a picture."
        ),
        "security": [*TOKEN_SECURITY, {}],
        "parameters": [
            _ID,
            {
                "name": SIZE_PARAMETER,
                "in": "query",
                "required": False,
                "description": "Side of the square, in pixels, into which it is to fit, rounded up "
                f"to one of {', '.join(map(str, THUMBNAIL_SIZES))}; the last is the largest.",
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
                | _answered(ETag=("Identifies these bytes.", '"…-480"')),
                "content": {"image/webp": {"schema": {"type": "string", "format": "binary"}}},
            },
            "304": {"description": "The client has it."},
            **_problems(
                401,
                404,
                412,
                422,
                429,
                503,
                of_409="The file is held back until it has been checked.",
                of_400="The query has too many fields.",
                of_501=_OF_ANY["of_501"],
            ),
        },
    },
}
