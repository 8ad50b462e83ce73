"""What a file that a client begins to upload is called, here and in the store."""

import secrets

import uuid_utils

from chat4all.domain.files import FileId, NewUpload
from chat4all.domain.ids import Username


def new_upload(
    owner: Username, size: int, name: str, media_type: str, metadata: str = ""
) -> NewUpload:
    """Return an upload with an id of its own.

    Others know the id, so the key in the store does not follow from it: by a URL for a part some
    stores would copy any object whose key is known (`x-amz-copy-source`).
    """
    file_id = FileId(str(uuid_utils.uuid7()))
    key = f"{file_id[-2:]}/{secrets.token_hex(16)}"
    return NewUpload(file_id, owner, size, name, media_type, key, "", metadata)
