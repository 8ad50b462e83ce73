"""Pages of a user's own files in SQL, each with the messages that name it."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import cache
from itertools import zip_longest
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
    found = defaultdict[str, list[NamingMessage]](list)
    for begin in range(0, len(file_ids), _AT_ONCE):
        some = file_ids[begin : begin + _AT_ONCE]
        # "" is no file's id.
        asked = dict(zip_longest(_NAMES, some, fillvalue=""))
        for file_id, conversation, message in connection.execute(_uses(), asked | {"owner": owner}):
            found[file_id].append(NamingMessage(ConversationId(conversation), MessageId(message)))
    return found


_AT_ONCE = 20
_NAMES = [f"file_{number}" for number in range(_AT_ONCE)]


@cache
def _uses() -> Select[Any]:
    """Return a query for some of the messages that name each of `_AT_ONCE` files.

    A window function would read all of them. It is one query, whatever a page has: it takes longer
    to compile one than to run it, and databases keep what they have compiled.
    """
    each = [
        select(file_uses.c.file_id, file_uses.c.conversation_id, file_uses.c.message_id)
        .join(members, members.c.conversation_id == file_uses.c.conversation_id)
        .where(
            file_uses.c.file_id == bindparam(name),
            file_uses.c.sender_id == bindparam("owner"),
            members.c.username == bindparam("owner"),
        )
        .limit(NAMING_MESSAGES_MAX)
        .subquery()
        for name in _NAMES
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
