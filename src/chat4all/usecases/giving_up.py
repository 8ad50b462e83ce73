"""Give up an upload of which the store of files has lost bytes: nobody can go on with it."""

import logging

from chat4all.domain.errors import Fenced, Unavailable
from chat4all.domain.files import FileState, Upload
from chat4all.ports.files import Uploads

PUBLIC_LOST = "bytes of this upload were lost in the store of files: begin the upload again"

_log = logging.getLogger(__name__)


async def given_up(uploads: Uploads, upload: Upload, cause: str) -> Unavailable:
    """Give up a held upload whose bytes are lost; log it, and return what its client is told.

    Whoever asks for it from now on is told that there is no such file, and begins anew. Raises
    `Fenced`, or `NotFound`, where another request has taken the upload, or it is a file or ended by
    now: then what is missing may have been deleted because it is somewhere else, or of no use.
    """
    now = await uploads.find(upload.file_id, upload.owner)
    # Whoever has taken it since then comes upon the same loss; only this request may finish it.
    if now.fence != upload.fence or now.state is not FileState.UPLOADING:
        raise Fenced("another request has taken this upload")
    extra = {"file_id": upload.file_id, "cause": cause}
    _log.error("bytes of an upload are lost, and it is given up", extra=extra)
    await uploads.end(upload.file_id, upload.owner)
    return Unavailable(cause, PUBLIC_LOST)
