"""All that is kept about a user, as one JSON document, in parts: there may be many messages."""

import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

from chat4all.adapters.sql.audit import AuditEntry
from chat4all.concurrency.slices import slices
from chat4all.domain.errors import NotFound
from chat4all.domain.files import StoredFile, Upload
from chat4all.domain.ids import Username
from chat4all.domain.listing import JoinedConversation
from chat4all.domain.people import Session
from chat4all.domain.times import format_milliseconds, format_seconds
from chat4all.operations.user_output import audit_fields, user_fields
from chat4all.operations.users import OpenedUsers
from chat4all.operations.written import Fields, Written

DETAILS_AT_ONCE = 100
AUDIT_MAX = 100_000


async def export(
    opened: OpenedUsers, username: Username, written: Written | None
) -> AsyncIterator[str]:
    """Yield the document's text; without `written`, nothing that is in the message store.

    It is noted in the audit first: one that is cut off has printed something.
    Raises `NotFound`, and what `Written.check` raises, before anything is yielded.
    """
    if written is not None:
        written.check()
    user = await opened.users.user(username)
    if user is None:
        raise NotFound("no such user")
    await opened.audit.note("user-exported", user.username)
    joined = sorted(await opened.memberships.of_user(username))
    conversations = [one.conversation_id for one in joined]
    parts = {
        "profile": user_fields(user),
        "sessions": [_session(one) for one in await opened.sessions.of_user(username)],
        "memberships": await _memberships(opened, joined, username),
        "files": [_file(one) for one in await opened.files.of_owner(username)],
        "audit": [
            _entry(entry, username) for entry in await opened.audit.newest(AUDIT_MAX, username)
        ],
    }
    yield json.dumps(parts, indent=2, ensure_ascii=False)[:-2]
    if written is not None:
        yield f',\n  "messages_from": {json.dumps(written.reach)}'
        found = {
            "read_markers": written.markers(username, conversations),
            "messages": written.messages(username, conversations),
            "reactions": written.reactions(username, conversations),
        }
        for name, fields in found.items():
            yield f',\n  "{name}": ['
            async for text in _elements(fields):
                yield text
            yield "\n  ]"
    yield "\n}\n"


async def _elements(fields: AsyncIterator[Fields]) -> AsyncIterator[str]:
    separator = ""
    async for one in fields:
        yield f"{separator}\n    {json.dumps(one, ensure_ascii=False)}"
        separator = ","


def _session(session: Session) -> Fields:
    """Return a session without what refreshes it, which is kept as a hash only."""
    return {
        "session_id": session.session_id,
        "device": session.device,
        "created_at": format_seconds(session.created_at),
        "last_used_at": format_seconds(session.used_at),
        "expires_at": format_seconds(session.expires_at),
    }


def _file(file: StoredFile | Upload) -> Fields:
    """Return a file, or an upload that is not whole yet; its bytes are in the store of files."""
    fields: dict[str, object] = {
        "file_id": file.file_id,
        "name": file.name,
        "size": file.size,
        "state": file.state,
    }
    if isinstance(file, Upload):
        return fields | {"type": file.media_type, "received": file.progress.offset}
    return fields | {
        "type": file.facts.media_type,
        "sha256": file.facts.sha256,
        "width": file.facts.width,
        "height": file.facts.height,
        "created_at": format_milliseconds(file.created_at),
    }


def _entry(entry: AuditEntry, username: Username) -> Fields:
    """Return an entry; of what others did to the user, without their addresses and sessions."""
    if entry.actor != username:
        entry = replace(entry, session_id=None, address=None, operator=None)
    return audit_fields(entry)


async def _memberships(
    opened: OpenedUsers, joined: Sequence[JoinedConversation], username: Username
) -> list[Fields]:
    found: list[Fields] = []
    for some in slices(joined, DETAILS_AT_ONCE):
        details = await opened.memberships.details([one.conversation_id for one in some], username)
        found += [
            {
                "conversation_id": one.conversation_id,
                "type": details[one.conversation_id].type,
                "title": details[one.conversation_id].title,
                "role": one.role,
                "joined_at": one.joined_at or None,
            }
            for one in some
            if one.conversation_id in details
        ]
    return found
