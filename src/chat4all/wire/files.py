"""What clients send and receive about files."""

from typing import Annotated

import msgspec
from msgspec import Meta

from chat4all.domain.files import PARTS_MAX, FileState
from chat4all.domain.own_files import NAMING_MESSAGES_MAX, OwnFile
from chat4all.domain.times import format_milliseconds

EXAMPLE_FILE = "01980f4e-9b2a-7c31-8d44-5a1f2e3d4c5b"
_ETAG = '"9b2cf535f27731c974343645a3985328"'
_TIME = "2026-01-31T12:00:00.000Z"


class FileLinkView(msgspec.Struct):
    """A link to a file, for one user, that needs no token."""

    url: Annotated[str, Meta(description="A path on this gateway, or any other.")]
    expires_at: Annotated[str, Meta(examples=[_TIME])]


class FileView(msgspec.Struct, omit_defaults=True):
    """A file, as the payload of a message has it."""

    file_id: Annotated[str, Meta(examples=[EXAMPLE_FILE])]
    name: Annotated[str, Meta(examples=["praia.jpg"])]
    size: Annotated[int, Meta(description="In bytes.", examples=[48_213])]
    type: Annotated[str, Meta(description="Found in the content.", examples=["image/jpeg"])]
    sha256: Annotated[str, Meta(description="Of the bytes, in hexadecimal digits.")]
    width: Annotated[int | None, Meta(description="Of a picture, in pixels.")] = None
    height: int | None = None
    blurhash: str | None = None


class NamingMessageView(msgspec.Struct):
    """One of your messages that has the file."""

    conversation_id: str
    message_id: str


class OwnFileView(msgspec.Struct):
    """A file of your own, or an upload that is to become one."""

    file_id: Annotated[str, Meta(examples=[EXAMPLE_FILE])]
    name: Annotated[str, Meta(examples=["praia.jpg"])]
    size: Annotated[int, Meta(description="In bytes: all that it is to have.", examples=[48_213])]
    type: Annotated[
        str,
        Meta(
            description="Found in the content; of an upload, what its uploader says.",
            examples=["image/jpeg"],
        ),
    ]
    state: Annotated[
        FileState,
        Meta(
            description="`uploading`: not whole yet; `checking`: held back until it has been "
            "scanned; `ready`; `refused`: it was scanned, and nobody gets it."
        ),
    ]
    created_at: Annotated[
        str, Meta(description="When it was begun, or became whole.", examples=[_TIME])
    ]
    in_use: Annotated[bool, Meta(description="Whether a message has it, whoever sent that.")]
    expires_at: Annotated[
        str | None,
        Meta(
            description="When it is deleted by itself; null while it is in use.", examples=[_TIME]
        ),
    ]
    messages: Annotated[
        list[NamingMessageView],
        Meta(
            description=f"Your own messages that have it, at most {NAMING_MESSAGES_MAX}, in "
            "conversations that you are in."
        ),
    ]


def own_file_view(file: OwnFile) -> OwnFileView:
    """Return what the owner of a file sees of it."""
    return OwnFileView(
        file.file_id,
        file.name,
        file.size,
        file.media_type,
        file.state,
        format_milliseconds(file.created_at),
        file.is_in_use,
        format_milliseconds(file.expires_at) if file.expires_at else None,
        [NamingMessageView(*message) for message in file.messages],
    )


class InitiateUpload(msgspec.Struct):
    """An upload that is to begin."""

    size: Annotated[int, Meta(ge=0, le=10**15, description="In bytes.", examples=[48_213])]
    name: Annotated[str, Meta(max_length=1_000, examples=["praia.jpg"])] = ""
    media_type: Annotated[
        str,
        Meta(
            max_length=200,
            description="Limits by type apply to it. The file's own is found in its content.",
            examples=["image/jpeg"],
        ),
    ] = ""


class DirectPartView(msgspec.Struct):
    """A part of an upload straight to the store."""

    number: Annotated[int, Meta(examples=[1])]
    size: Annotated[int, Meta(description="Bytes that it has to have.", examples=[8_388_608])]
    url: Annotated[str, Meta(description="Where to send it with PUT, without a token.")]
    etag: Annotated[
        str | None, Meta(description="Of what the store has, if anything.", examples=[_ETAG])
    ]


class DirectUploadView(msgspec.Struct):
    """An upload straight to the store."""

    file_id: Annotated[str, Meta(examples=[EXAMPLE_FILE])]
    part_size: Annotated[
        int, Meta(description="Bytes of each part but the last one.", examples=[8_388_608])
    ]
    parts: list[DirectPartView]
    urls_expire_at: Annotated[
        str, Meta(description="Get others with `GET …/parts`.", examples=[_TIME])
    ]
    expires_at: Annotated[
        str, Meta(description="When it is deleted if it is not complete.", examples=[_TIME])
    ]


class NamedPart(msgspec.Struct):
    """A part that the store has acknowledged."""

    number: Annotated[int, Meta(ge=1, le=PARTS_MAX, examples=[1])]
    etag: Annotated[
        str,
        Meta(max_length=200, description="The header `ETag` of the answer.", examples=[_ETAG]),
    ]


class CompleteUpload(msgspec.Struct):
    """The parts of an upload, all of them."""

    parts: Annotated[list[NamedPart], Meta(max_length=PARTS_MAX)]
    sha256: (
        Annotated[
            str,
            Meta(
                pattern="^[0-9a-fA-F]{64}$",
                max_length=64,  # `$` matches before a line break at the end, too
                description="Of the whole file: another content is refused.",
            ),
        ]
        | None
    ) = None
