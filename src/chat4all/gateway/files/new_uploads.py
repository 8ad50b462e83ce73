"""What a file that a client begins to upload is called, here and in the store."""

import uuid_utils

from chat4all.domain.files import FileId, NewUpload
from chat4all.domain.ids import Username


def new_upload(
    owner: Username, size: int, name: str, media_type: str, metadata: str = ""
) -> NewUpload:
    """Return an upload with an id of its own."""
    file_id = FileId(str(uuid_utils.uuid7()))
    key = f"{file_id[-2:]}/{file_id}"
    return NewUpload(file_id, owner, size, name, media_type, key, "", metadata)
