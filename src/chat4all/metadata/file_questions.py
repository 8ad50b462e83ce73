"""What gateways ask the metadata service about files: one question for each method of the ports."""

from collections.abc import Mapping
from typing import Any

from chat4all.metadata.questions import Question
from chat4all.ports.file_uses import FileUses
from chat4all.ports.files import Files, Uploads
from chat4all.ports.scanning import Scans
from chat4all.ports.sharing import Sharing
from chat4all.wire import internal
from chat4all.wire import internal_files as of_files


def file_questions(
    uploads: Uploads, files: Files, uses: FileUses, sharing: Sharing, scans: Scans
) -> Mapping[str, Question[Any]]:
    """Return every question that these ports answer, by the name in its path."""
    return {
        "create_upload": Question(
            of_files.CreateUpload, lambda new: uploads.create(new.upload, new.quota)
        ),
        "upload": Question(of_files.OfFile, lambda of: uploads.find(of.file_id, of.username)),
        "take_upload": Question(
            of_files.TakeUpload,
            lambda query: uploads.take(query.file_id, query.owner, force=query.force),
        ),
        "advance_upload": Question(
            of_files.AdvanceUpload,
            lambda query: uploads.advance(query.file_id, query.fence, query.progress),
        ),
        "release_upload": Question(
            of_files.ReleaseUpload, lambda query: uploads.release(query.file_id, query.fence)
        ),
        "finish_upload": Question(
            of_files.FinishUpload,
            lambda query: uploads.finish(query.file_id, query.fence, query.facts, query.state),
        ),
        "end_upload": Question(of_files.OfFile, lambda of: uploads.end(of.file_id, of.username)),
        "file": Question(of_files.OfFile, lambda of: files.find(of.file_id, of.username)),
        "attach_file": Question(of_files.AttachFile, lambda query: files.attach(query.use)),
        "detach_files": Question(
            of_files.FilesOfMessage,
            lambda query: files.detach(query.conversation_id, query.message_id, query.sender_id),
        ),
        "own_files": Question(
            of_files.OwnFiles,
            lambda query: files.own(query.owner, query.order, query.limit, query.after),
        ),
        "bytes_of": Question(internal.OfUser, lambda of: files.used(of.username)),
        "garbage": Question(of_files.TakeGarbage, lambda query: files.garbage(query.limit)),
        "doubt_files": Question(
            of_files.FilesOfMessage,
            lambda query: uses.doubt(query.conversation_id, query.message_id, query.sender_id),
        ),
        "doubtful_files": Question(of_files.TakeDoubtful, lambda query: uses.doubtful(query.limit)),
        "settle_file": Question(
            of_files.SettleFile,
            lambda query: uses.settle(query.doubtful, is_named=query.is_named),
        ),
        "forget_files": Question(of_files.ForgetFiles, lambda query: files.forget(query.file_ids)),
        "sharing_candidates": Question(
            of_files.TakeCandidates, lambda query: sharing.candidates(query.limit)
        ),
        "compare_file": Question(
            of_files.CompareFile,
            lambda query: sharing.compared(query.candidate, joins=query.joins),
        ),
        "take_unscanned": Question(
            of_files.TakeUnscanned, lambda query: scans.take(query.limit, query.but_of)
        ),
        "count_unscanned": Question(of_files.CountUnscanned, lambda _: scans.waiting()),
        "renew_scan": Question(of_files.RenewScan, lambda query: scans.renew(query.file_id)),
        "settle_scan": Question(
            of_files.SettleScan, lambda query: scans.settle(query.file_id, query.verdict)
        ),
    }
