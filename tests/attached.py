"""Files that messages name, in memory, and what is said of pictures without a process."""

from collections.abc import AsyncIterator, Sequence

from chat4all.domain.errors import Conflict, NotFound, UnreadablePicture
from chat4all.domain.file_uses import DoubtfulUse
from chat4all.domain.files import (
    FileFacts,
    FileId,
    FileLimits,
    FileState,
    FileUse,
    Garbage,
    PictureFacts,
    StoredFile,
)
from chat4all.domain.ids import ConversationId, MessageId, Username
from chat4all.domain.own_files import FileOrder, FilePlace, OwnFile
from chat4all.usecases.attaching import Attaching

PICTURE = FileId("01980f4e-9b2a-7c31-8d44-5a1f2e3d4c5b")
FACTS = FileFacts("ab" * 32, "image/jpeg", 1200, 800, "LEHV6nWB2yk8pyo0adR*.7kCMdnj")


class KeptFiles:
    """Files of their owners, and who else may have them: every sender named in `readers`.

    `doubted` are the messages whose uses were put in doubt.
    """

    def __init__(self, *files: StoredFile, readers: Sequence[Username] = ()) -> None:
        self.files = {file.file_id: file for file in files}
        self.uses: set[FileUse] = set()
        self.doubted: list[MessageId] = []
        self._readers = readers

    async def find(self, file_id: FileId, viewer: Username) -> StoredFile:
        file = self.files.get(file_id)
        if file is None or viewer not in (file.owner, *self._readers):
            raise NotFound("no such file")
        return file

    async def attach(self, use: FileUse) -> StoredFile:
        file = await self.find(use.file_id, use.sender_id)
        if file.state is not FileState.READY:
            raise Conflict("not ready")
        self.uses.add(use)
        return file

    async def detach(
        self, conversation: ConversationId, message_id: MessageId, sender: Username
    ) -> None:
        of = (conversation, message_id, sender)
        self.uses = {use for use in self.uses if use[1:] != of}

    async def doubt(
        self, conversation: ConversationId, message_id: MessageId, sender: Username
    ) -> None:
        self.doubted.append(message_id)

    async def doubtful(self, limit: int) -> Sequence[DoubtfulUse]:
        raise NotImplementedError

    async def settle(self, doubtful: DoubtfulUse, *, is_named: bool) -> None:
        raise NotImplementedError

    async def own(
        self, owner: Username, order: FileOrder, limit: int, after: FilePlace | None = None
    ) -> Sequence[OwnFile]:
        raise NotImplementedError

    async def used(self, owner: Username) -> int:
        raise NotImplementedError

    async def garbage(self, limit: int) -> Sequence[Garbage]:
        raise NotImplementedError

    async def forget(self, file_ids: Sequence[FileId]) -> None:
        raise NotImplementedError


def attaching(files: KeptFiles | None = None, limits: FileLimits | None = None) -> Attaching:
    """Return what attaches files of a test."""
    files = files or KeptFiles()
    return Attaching(files, files, limits)


def picture(owner: str = "bruno", state: FileState = FileState.READY) -> StoredFile:
    """Return a file that is a picture."""
    return StoredFile(PICTURE, Username(owner), 48_213, "praia.jpg", "f/1", FACTS, 0, state)


class FakePictures:
    """The port `ports.pictures.Pictures` for pictures that are no more than a beginning.

    One that ends with `BROKEN` cannot be read. `made` are the sizes that were made.
    """

    BROKEN = b"broken"

    def __init__(self) -> None:
        self.made: list[int] = []

    async def look(self, content: AsyncIterator[bytes]) -> PictureFacts:
        await self._read(content)
        return PictureFacts(1200, 800, "LEHV6nWB2yk8pyo0adR*.7kCMdnj")

    async def thumbnail(self, content: AsyncIterator[bytes], size: int) -> bytes:
        await self._read(content)
        self.made.append(size)
        return b"RIFF of %d" % size

    async def _read(self, content: AsyncIterator[bytes]) -> None:
        raw = b"".join([piece async for piece in content])
        if raw.endswith(self.BROKEN):
            raise UnreadablePicture("broken")
