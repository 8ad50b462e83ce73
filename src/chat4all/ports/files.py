"""What is known of files and uploads, and who may have them; kept where users are kept."""

from collections.abc import Sequence
from typing import Protocol

from chat4all.domain.files import (
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


class Uploads(Protocol):
    """Uploads and their progress.

    Of another owner, ended, erased and expired ones are `NotFound` for every method. Those that
    change one raise `NotSignedIn` once its owner is disabled; only `release` does not.
    """

    async def create(self, upload: NewUpload, quota: Quota) -> Upload:
        """Begin one. Raises `QuotaReached`; the whole size counts from now on.

        It expires soon unless a request takes it (`UNUSED_SECONDS`, of a direct one
        `URLS_UNUSED_SECONDS`): then its client knows of it.
        Doing it again returns the upload as it is by now.
        """
        ...

    async def find(self, file_id: FileId, owner: Username) -> Upload:
        """Return an upload as it is now, or the whole file that it has become."""
        ...

    async def take(self, file_id: FileId, owner: Username, *, force: bool) -> Upload:
        """Take an upload to write to it, and return it with a new fence.

        Raises `Busy` while another request holds it, unless `force` takes it away: not from one
        that has all bytes, and is making it a file. What is a file is returned as `find` does.
        """
        ...

    async def advance(self, file_id: FileId, fence: int, progress: Progress) -> None:
        """Renew the hold on an upload, and keep `progress` if it is ahead of what is kept.

        Raises `Fenced`.
        """
        ...

    async def release(self, file_id: FileId, fence: int) -> None:
        """Let go of an upload, so that others need not wait; nothing if it was taken away."""
        ...

    async def finish(
        self, file_id: FileId, fence: int, facts: FileFacts, state: FileState
    ) -> StoredFile:
        """Make the upload a file. Doing it again returns the file, as it was made first.

        Raises `Fenced`, and `Conflict` if the progress that is kept is not all of it.
        """
        ...

    async def end(self, file_id: FileId, owner: Username) -> None:
        """Give up an upload, or a file that no message names: it is gone at once.

        Raises `Conflict` for a file that a message names.
        """
        ...


class Files(Protocol):
    """Files that are whole, and the messages that name them."""

    async def find(self, file_id: FileId, viewer: Username) -> StoredFile:
        """Return a file to its owner, and to the members of a conversation that has it.

        Raises `NotFound` to everybody else, as for a file that does not exist.
        """
        ...

    async def attach(self, use: FileUse) -> StoredFile:
        """Note that a message will name a file, which its sender may have.

        It is in doubt until it is settled (`ports.file_uses`); again, it is so anew.
        Raises `NotFound` as `find` does, and for a sender who is not a member of the conversation;
        `Conflict` for a file that is not ready (`BeingChecked` while it is held back).
        """
        ...

    async def detach(
        self, conversation: ConversationId, message_id: MessageId, sender: Username
    ) -> None:
        """Note that a message no longer names its file, which is gone when no other one does."""
        ...

    async def own(
        self, owner: Username, order: FileOrder, limit: int, after: FilePlace | None = None
    ) -> Sequence[OwnFile]:
        """Return at most so many of a user's files and uploads, those behind a place in the order.

        The newest or the largest first. What is gone, or has expired, is not among them.
        """
        ...

    async def used(self, owner: Username) -> int:
        """Return how many bytes of a user count for their quota."""
        ...

    async def garbage(self, limit: int) -> Sequence[Garbage]:
        """Return what is to be deleted from the store: nobody else gets the same for a minute.

        The oldest first: uploads that have expired, files that no message has named for so long,
        and those that were given up or erased, or whose last message is deleted. They are gone for
        everybody from now on.
        """
        ...

    async def forget(self, file_ids: Sequence[FileId]) -> None:
        """Note that the bytes of garbage are deleted; the second time drop what is known of it.

        In between, `LATE_SECONDS` after the first time, it is garbage once more: what was on its
        way to the store meanwhile is deleted as well.
        """
        ...
