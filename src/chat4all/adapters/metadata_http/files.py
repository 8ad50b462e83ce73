"""The ports of files: each call is a request; see `wire.internal`."""

from collections.abc import Sequence

from chat4all.adapters.metadata_http.service import MetadataService
from chat4all.domain.file_uses import DoubtfulUse
from chat4all.domain.files import (
    GARBAGE_MAX,
    FileFacts,
    FileId,
    FileState,
    FileUse,
    Garbage,
    NewUpload,
    Progress,
    Quota,
    StoredFile,
    Upload,
)
from chat4all.domain.ids import ConversationId, MessageId, Username
from chat4all.domain.own_files import FileOrder, FilePlace, OwnFile
from chat4all.domain.sharing import Candidate
from chat4all.wire import internal
from chat4all.wire import internal_files as questions


class HttpUploads:
    """The port `ports.files.Uploads`."""

    def __init__(self, service: MetadataService) -> None:
        self._ask = service.ask

    async def create(self, upload: NewUpload, quota: Quota) -> Upload:
        """Begin one; see `ports.files.Uploads`."""
        new = questions.CreateUpload(upload, quota)
        answer: Upload = await self._ask("create_upload", new, Upload, writes=True)
        return answer

    async def find(self, file_id: FileId, owner: Username) -> Upload:
        """Return an upload as it is now; see `ports.files.Uploads`."""
        of = questions.OfFile(file_id, owner)
        answer: Upload = await self._ask("upload", of, Upload, writes=False)
        return answer

    async def take(self, file_id: FileId, owner: Username, *, force: bool) -> Upload:
        """Take an upload to write to it; see `ports.files.Uploads`."""
        taking = questions.TakeUpload(file_id, owner, force)
        answer: Upload = await self._ask("take_upload", taking, Upload, writes=True)
        return answer

    async def advance(self, file_id: FileId, fence: int, progress: Progress) -> None:
        """Keep progress, and renew the hold; see `ports.files.Uploads`."""
        advance = questions.AdvanceUpload(file_id, fence, progress)
        await self._ask("advance_upload", advance, None, writes=True)

    async def release(self, file_id: FileId, fence: int) -> None:
        """Let go of an upload; see `ports.files.Uploads`."""
        release = questions.ReleaseUpload(file_id, fence)
        await self._ask("release_upload", release, None, writes=True)

    async def finish(
        self, file_id: FileId, fence: int, facts: FileFacts, state: FileState
    ) -> StoredFile:
        """Make the upload a file; see `ports.files.Uploads`."""
        finish = questions.FinishUpload(file_id, fence, facts, state)
        answer: StoredFile = await self._ask("finish_upload", finish, StoredFile, writes=True)
        return answer

    async def end(self, file_id: FileId, owner: Username) -> None:
        """Give up an upload or a file; see `ports.files.Uploads`."""
        await self._ask("end_upload", questions.OfFile(file_id, owner), None, writes=True)


class HttpFiles:
    """The port `ports.files.Files`."""

    def __init__(self, service: MetadataService) -> None:
        self._ask = service.ask

    async def find(self, file_id: FileId, viewer: Username) -> StoredFile:
        """Return a file to those who may have it; see `ports.files.Files`."""
        of = questions.OfFile(file_id, viewer)
        answer: StoredFile = await self._ask("file", of, StoredFile, writes=False)
        return answer

    async def attach(self, use: FileUse) -> StoredFile:
        """Note that a message will name a file; see `ports.files.Files`."""
        attach = questions.AttachFile(use)
        answer: StoredFile = await self._ask("attach_file", attach, StoredFile, writes=True)
        return answer

    async def detach(
        self, conversation: ConversationId, message_id: MessageId, sender: Username
    ) -> None:
        """Note that a message no longer names its file; see `ports.files.Files`."""
        detach = questions.FilesOfMessage(conversation, message_id, sender)
        await self._ask("detach_files", detach, None, writes=True)

    async def own(
        self, owner: Username, order: FileOrder, limit: int, after: FilePlace | None = None
    ) -> Sequence[OwnFile]:
        """Return a page of a user's files and uploads; see `ports.files.Files`."""
        page = questions.OwnFiles(owner, order, limit, after)
        answer: Sequence[OwnFile] = await self._ask("own_files", page, list[OwnFile], writes=False)
        return answer

    async def used(self, owner: Username) -> int:
        """Return how many bytes of a user count; see `ports.files.Files`."""
        answer: int = await self._ask("bytes_of", internal.OfUser(owner), int, writes=False)
        return answer

    async def garbage(self, limit: int) -> Sequence[Garbage]:
        """Return what is to be deleted from the store; see `ports.files.Files`."""
        some = questions.TakeGarbage(min(limit, GARBAGE_MAX))
        answer: Sequence[Garbage] = await self._ask("garbage", some, list[Garbage], writes=True)
        return answer

    async def forget(self, file_ids: Sequence[FileId]) -> None:
        """Drop what is known of garbage; see `ports.files.Files`."""
        await self._ask("forget_files", questions.ForgetFiles(list(file_ids)), None, writes=True)


class HttpFileUses:
    """The port `ports.file_uses.FileUses`."""

    def __init__(self, service: MetadataService) -> None:
        self._ask = service.ask

    async def doubt(
        self, conversation: ConversationId, message_id: MessageId, sender: Username
    ) -> None:
        """Note that a message may be deleted soon; see `ports.file_uses.FileUses`."""
        message = questions.FilesOfMessage(conversation, message_id, sender)
        await self._ask("doubt_files", message, None, writes=True)

    async def doubtful(self, limit: int) -> Sequence[DoubtfulUse]:
        """Return what is to be checked; see `ports.file_uses.FileUses`."""
        answer: Sequence[DoubtfulUse] = await self._ask(
            "doubtful_files", questions.TakeDoubtful(limit), list[DoubtfulUse], writes=True
        )
        return answer

    async def settle(self, doubtful: DoubtfulUse, *, is_named: bool) -> None:
        """Note what the store has of a use; see `ports.file_uses.FileUses`."""
        settle = questions.SettleFile(doubtful, is_named)
        await self._ask("settle_file", settle, None, writes=True)


class HttpSharing:
    """The port `ports.sharing.Sharing`."""

    def __init__(self, service: MetadataService) -> None:
        self._ask = service.ask

    async def candidates(self, limit: int) -> Sequence[Candidate]:
        """Return files that wait; see `ports.sharing.Sharing`."""
        answer: Sequence[Candidate] = await self._ask(
            "sharing_candidates", questions.TakeCandidates(limit), list[Candidate], writes=False
        )
        return answer

    async def compared(self, candidate: Candidate, *, joins: bool) -> None:
        """Note that a file was compared; see `ports.sharing.Sharing`."""
        compare = questions.CompareFile(candidate, joins)
        await self._ask("compare_file", compare, None, writes=True)
