"""Pages of a user's own files in SQL, each with the messages that name it."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, and_, bindparam, or_, select, union_all
from sqlalchemy.sql import Select

from chat4all.adapters.sql.file_rows import IS_THERE
from chat4all.adapters.sql.tables import file_uses, files, members
from chat4all.adapters.sql.types import ByBytes
from chat4all.domain.files import FileId, FileState
from chat4all.domain.ids import ConversationId, MessageId, Username
from chat4all.domain.own_files import (
    NAMING_MESSAGES_MAX,
    FileOrder,
    FilePlace,
    NamingMessage,
    OwnFile,
)

_COLUMNS = {FileOrder.NEWEST: files.c.created_at, FileOrder.LARGEST: files.c.size}


def _page(order: FileOrder, *, begins: bool) -> Select[Any]:
    column, file_id = _COLUMNS[order], ByBytes(files.c.file_id)
    page = (
        select(files)
        .where(files.c.owner == bindparam("owner"), IS_THERE)
        .order_by(column.desc(), file_id.desc())
        .limit(bindparam("most"))
    )
    if begins:
        return page
    # The first condition by itself finds the place in the index.
    below = or_(column < bindparam("value"), file_id < bindparam("file"))
    return page.where(and_(column <= bindparam("value"), below))


_PAGES = {
    (order, begins): _page(order, begins=begins) for order in FileOrder for begins in (True, False)
}


def own_files(
    connection: Connection, owner: Username, order: FileOrder, limit: int, after: FilePlace | None
) -> Sequence[OwnFile]:
    """Return a page of a user's files and uploads; see `ports.files.Files`."""
    asked: dict[str, object] = {"owner": owner, "most": limit}
    if after is not None:
        asked |= {"value": after.value, "file": after.file_id}
    rows = connection.execute(_PAGES[order, after is None], asked).all()
    used = [row.file_id for row in rows if row.expires_at is None]
    naming = _naming(connection, owner, used) if used else {}
    return [_own_file(row, naming.get(row.file_id, [])) for row in rows]


def _naming(
    connection: Connection, owner: Username, file_ids: Sequence[str]
) -> Mapping[str, Sequence[NamingMessage]]:
    asked = {f"file_{number}": file_id for number, file_id in enumerate(file_ids)}
    found = defaultdict[str, list[NamingMessage]](list)
    rows = connection.execute(_first_uses(len(file_ids)), asked | {"owner": owner})
    for file_id, conversation, message in rows:
        found[file_id].append(NamingMessage(ConversationId(conversation), MessageId(message)))
    return found


@lru_cache
def _first_uses(count: int) -> Select[Any]:
    """Return a query for the first messages that name each of so many files.

    A window function would read every one. Building the query takes longer than running it.
    """
    each = [
        select(file_uses.c.file_id, file_uses.c.conversation_id, file_uses.c.message_id)
        .join(members, members.c.conversation_id == file_uses.c.conversation_id)
        .where(
            file_uses.c.file_id == bindparam(f"file_{number}"),
            file_uses.c.sender_id == bindparam("owner"),
            members.c.username == bindparam("owner"),
        )
        .limit(NAMING_MESSAGES_MAX)
        .subquery()
        for number in range(count)
    ]
    return select(union_all(*(select(one) for one in each)).subquery())


def _own_file(row: Any, messages: Sequence[NamingMessage]) -> OwnFile:
    return OwnFile(
        FileId(row.file_id),
        row.name,
        row.size,
        row.media_type or row.declared_type,
        FileState(row.state),
        row.created_at,
        row.expires_at or 0,
        messages,
    )
