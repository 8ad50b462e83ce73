"""Which messages name files, in SQL, and which of them are to be compared with the store."""

from collections.abc import Sequence

from sqlalchemy import Connection, and_, bindparam, delete, select, update

from chat4all.adapters.sql.file_rows import KEPT_MS, change_file, is_used, lock_file
from chat4all.adapters.sql.outbox import Now, now_ms
from chat4all.adapters.sql.steady_clock import SteadyClock
from chat4all.adapters.sql.tables import file_uses
from chat4all.adapters.sql.transactions import Transactions
from chat4all.domain.errors import NotFound
from chat4all.domain.file_uses import CHECK_AGAIN_SECONDS, CHECK_SECONDS, DoubtfulUse
from chat4all.domain.files import FileId, FileUse
from chat4all.domain.ids import ConversationId, MessageId, Username

CHECK_MS = CHECK_SECONDS * 1000

OF_MESSAGE = and_(
    file_uses.c.conversation_id == bindparam("conversation"),
    file_uses.c.message_id == bindparam("message"),
    file_uses.c.sender_id == bindparam("sender"),
)
_DOUBT = update(file_uses).where(OF_MESSAGE).values(check_at=Now() + CHECK_MS)
_DOUBTFUL = (
    select(file_uses)
    .where(file_uses.c.check_at <= Now())
    .order_by(file_uses.c.check_at)
    .limit(bindparam("most"))
    .with_for_update()
)
# Set while the clock was ahead. Not in doubt at once: its message may not be in the log yet.
_SET_RIGHT = (
    update(file_uses)
    .where(file_uses.c.check_at > Now() + 2 * CHECK_MS)
    .values(check_at=Now() + CHECK_MS)
)
_THIS = and_(OF_MESSAGE, file_uses.c.file_id == bindparam("file"))
_GIVE = update(file_uses).where(_THIS).values(check_at=Now() + CHECK_AGAIN_SECONDS * 1000)
_CHECK_AT = select(file_uses.c.check_at).where(_THIS)
_AS_GIVEN = and_(_THIS, file_uses.c.check_at == bindparam("given"))
_IS_NAMED = update(file_uses).where(_AS_GIVEN).values(check_at=None)
_IS_NOT_NAMED = delete(file_uses).where(_AS_GIVEN)


class SqlFileUses:
    """The port `ports.file_uses.FileUses`."""

    def __init__(self, database: Transactions) -> None:
        self._database = database
        self._clock = SteadyClock()

    async def doubt(
        self, conversation: ConversationId, message_id: MessageId, sender: Username
    ) -> None:
        """Note that a message may be deleted soon; see `ports.file_uses.FileUses`."""
        message = of_message(conversation, message_id, sender)
        await self._database.write(lambda connection: doubt_again(connection, message))

    async def doubtful(self, limit: int) -> Sequence[DoubtfulUse]:
        """Return what is to be checked; see `ports.file_uses.FileUses`."""

        def give(connection: Connection) -> Sequence[DoubtfulUse]:
            found: list[DoubtfulUse] = []
            connection.execute(_SET_RIGHT)
            # By a clock that jumped ahead, a message that is being sent was to be there long ago.
            if not self._clock.is_steady(now_ms(connection) / 1000):
                return found
            for row in connection.execute(_DOUBTFUL, {"most": limit}).all():
                use = FileUse(
                    FileId(row.file_id),
                    ConversationId(row.conversation_id),
                    MessageId(row.message_id),
                    Username(row.sender_id),
                )
                this = _this(use)
                connection.execute(_GIVE, this)
                found.append(DoubtfulUse(use, connection.execute(_CHECK_AT, this).scalar_one()))
            return found

        return await self._database.write(give)

    async def settle(self, doubtful: DoubtfulUse, *, is_named: bool) -> None:
        """Note what the store has of a use; see `ports.file_uses.FileUses`."""
        use = doubtful.use
        as_given = _this(use) | {"given": doubtful.check_at}

        def settle(connection: Connection) -> None:
            if is_named:
                connection.execute(_IS_NAMED, as_given)
                return
            try:
                row = lock_file(connection, use.file_id)
            except NotFound:
                row = None
            removed = connection.execute(_IS_NOT_NAMED, as_given).rowcount
            if removed and row is not None and not is_used(connection, use.file_id):
                change_file(connection, use.file_id, expires_at=row.now + KEPT_MS)

        await self._database.write(settle)


def doubt_again(connection: Connection, message: dict[str, object]) -> None:
    """Put a message's uses in doubt, from now on."""
    connection.execute(_DOUBT, message)


def of_message(
    conversation: ConversationId, message_id: MessageId, sender: Username
) -> dict[str, object]:
    """Return the parameters of `OF_MESSAGE`."""
    return {"conversation": conversation, "message": message_id, "sender": sender}


def _this(use: FileUse) -> dict[str, object]:
    return {
        **of_message(use.conversation_id, use.message_id, use.sender_id),
        "file": use.file_id,
    }
