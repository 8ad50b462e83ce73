"""What a gateway asks the metadata service about files; see `wire.internal`."""

import msgspec

from chat4all.domain.file_uses import DoubtfulUse
from chat4all.domain.files import (
    FileFacts,
    FileId,
    FileState,
    FileUse,
    NewUpload,
    Progress,
    Quota,
)
from chat4all.domain.ids import ConversationId, MessageId, Username
from chat4all.domain.own_files import FileOrder, FilePlace
from chat4all.domain.scanning import Verdict
from chat4all.domain.sharing import Candidate


class CreateUpload(msgspec.Struct):
    """For `create_upload`."""

    upload: NewUpload
    quota: Quota


class OfFile(msgspec.Struct):
    """Which file, and who asks; for `upload`, `end_upload` and `file`."""

    file_id: FileId
    username: Username


class TakeUpload(msgspec.Struct):
    """For `take_upload`."""

    file_id: FileId
    owner: Username
    force: bool


class AdvanceUpload(msgspec.Struct):
    """For `advance_upload`."""

    file_id: FileId
    fence: int
    progress: Progress


class ReleaseUpload(msgspec.Struct):
    """For `release_upload`."""

    file_id: FileId
    fence: int


class FinishUpload(msgspec.Struct):
    """For `finish_upload`."""

    file_id: FileId
    fence: int
    facts: FileFacts
    state: FileState


class AttachFile(msgspec.Struct):
    """For `attach_file`."""

    use: FileUse


class FilesOfMessage(msgspec.Struct):
    """For `detach_files` and `doubt_files`."""

    conversation_id: ConversationId
    message_id: MessageId
    sender_id: Username


class OwnFiles(msgspec.Struct):
    """For `own_files`."""

    owner: Username
    order: FileOrder
    limit: int
    after: FilePlace | None


class TakeGarbage(msgspec.Struct):
    """For `garbage`."""

    limit: int


class ForgetFiles(msgspec.Struct):
    """For `forget_files`."""

    file_ids: list[FileId]


class TakeDoubtful(msgspec.Struct):
    """For `doubtful_files`."""

    limit: int


class SettleFile(msgspec.Struct):
    """For `settle_file`."""

    doubtful: DoubtfulUse
    is_named: bool


class TakeCandidates(msgspec.Struct):
    """For `sharing_candidates`."""

    limit: int


class CompareFile(msgspec.Struct):
    """For `compare_file`."""

    candidate: Candidate
    joins: bool


class TakeUnscanned(msgspec.Struct):
    """For `take_unscanned`."""

    limit: int
    but_of: tuple[Username, ...] = ()


class CountUnscanned(msgspec.Struct):
    """For `count_unscanned`."""


class RenewScan(msgspec.Struct):
    """For `renew_scan`."""

    file_id: FileId


class SettleScan(msgspec.Struct):
    """For `settle_scan`."""

    file_id: FileId
    verdict: Verdict
