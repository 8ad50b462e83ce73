"""A user's conversations, those with the newest activity first, by the log's clock."""

from collections.abc import Mapping, Sequence
from heapq import nlargest

from chat4all.domain.errors import FieldError, InvalidInput, NotFound
from chat4all.domain.ids import ConversationId, Username
from chat4all.domain.kinds import UNREAD_MAX, UNREAD_MENTIONS_MAX
from chat4all.domain.listing import Detail, JoinedConversation, Listed
from chat4all.domain.messages import Activity, AllRead, Overview, Status
from chat4all.domain.people import Conversation, Role
from chat4all.domain.roles import NO_SUCH_CONVERSATION
from chat4all.domain.times import format_milliseconds, parse_milliseconds
from chat4all.ports.directory import Memberships
from chat4all.ports.summaries import ConversationSummaries, MentionsQuery, OverviewQuery
from chat4all.usecases.public_names import PublicNames

LIST_LIMIT_DEFAULT = 50
LIST_LIMIT_MAX = 200

_SEPARATOR = " "


class Listing:
    """Lists conversations; the number of round trips does not grow with the list."""

    def __init__(
        self, summaries: ConversationSummaries, memberships: Memberships, names: PublicNames
    ) -> None:
        self._summaries = summaries
        self._memberships = memberships
        self._names = names

    async def page(
        self, username: Username, limit: int, after: str
    ) -> tuple[Sequence[Listed], str | None]:
        """Return at most `limit` conversations after the cursor `after`, and the next cursor.

        A cursor is a conversation's place in the order. A conversation that gets a message between
        two pages moves up; the others are neither skipped nor repeated. Raises `InvalidInput` for a
        cursor that is none.
        """
        above = _place(after) if after else None
        joined = {one.conversation_id: one for one in await self._memberships.of_user(username)}
        activity = await self._summaries.activity(list(joined))
        # A conversation without messages is sorted by when the user joined.
        places = [
            (activity[key].order_ms if key in activity else _joined_ms(one), key)
            for key, one in joined.items()
        ]
        if above is not None:
            places = [place for place in places if place < above]
        newest = nlargest(limit + 1, places)
        more = _cursor(*newest[limit - 1]) if len(newest) > limit else None
        keys = [key for _, key in newest[:limit]]
        roles = {key: joined[key].role for key in keys}
        return await self._listed(username, roles, activity), more

    async def one(self, username: Username, conversation: Conversation) -> Listed:
        """Return a conversation of a user's as a list shows it.

        Raises `NotFound` when it was deleted meanwhile.
        """
        key = conversation.conversation_id
        activity = await self._summaries.activity([key])
        listed = await self._listed(username, {key: conversation.members[username]}, activity)
        if not listed:
            raise NotFound(NO_SUCH_CONVERSATION)
        return listed[0]

    async def _listed(
        self,
        username: Username,
        roles: Mapping[ConversationId, Role],
        activity: Mapping[ConversationId, Activity],
    ) -> Sequence[Listed]:
        """Return conversations in which a user has these roles, without those that are deleted."""
        keys = list(roles)
        details = await self._memberships.details(keys, username)
        overviews = await self._summaries.overviews(
            {
                key: OverviewQuery(activity[key].seq, _readers(details[key], username))
                for key in keys
                if key in activity and key in details
            }
        )
        mentions = await self._mentions(overviews, username)
        aliases = await self._aliases(overviews, details)
        return [
            _listed(
                key,
                roles[key],
                details[key],
                overviews.get(key),
                aliases,
                username,
                activity,
                mentions.get(key, ()),
            )
            for key in keys
            if key in details  # otherwise it was deleted meanwhile
        ]

    async def _mentions(
        self, overviews: Mapping[ConversationId, Overview], username: Username
    ) -> Mapping[ConversationId, Sequence[int]]:
        """Return which unread messages mention the user, the newest ones of each conversation."""
        unread = {
            key: MentionsQuery(username, max(read, one.last.seq - UNREAD_MAX), one.last.seq)
            for key, one in overviews.items()
            if one.last is not None and (read := one.read.get(username, 0)) < one.last.seq
        }
        found = await self._summaries.mentions(unread) if unread else {}
        return {key: seqs[-UNREAD_MENTIONS_MAX:] for key, seqs in found.items()}

    async def _aliases(
        self,
        overviews: Mapping[ConversationId, Overview],
        details: Mapping[ConversationId, Detail],
    ) -> Mapping[Username, Username]:
        former = {
            name
            for key, one in overviews.items()
            if one.last is not None
            for name in one.last.names
            if name not in details[key].members
        }
        return await self._names.aliases(former, ())


def _joined_ms(joined: JoinedConversation) -> int:
    return parse_milliseconds(joined.joined_at) if joined.joined_at else 0


def _cursor(order_ms: int, key: ConversationId) -> str:
    return _SEPARATOR.join((format_milliseconds(order_ms), key))


def _place(cursor: str) -> tuple[int, ConversationId]:
    at, _, key = cursor.rpartition(_SEPARATOR)
    try:
        return parse_milliseconds(at), ConversationId(key)
    except ValueError:
        raise InvalidInput([FieldError("/query/cursor", "take it from a Link")]) from None


def _readers(detail: Detail, username: Username) -> Sequence[Username]:
    """Return whose markers to read: in a group with more members than listed, the user's own."""
    return list(detail.members) if _is_whole(detail) else [username]


def _is_whole(detail: Detail) -> bool:
    return len(detail.members) == detail.count


def _listed(
    key: ConversationId,
    role: Role,
    detail: Detail,
    overview: Overview | None,
    aliases: Mapping[Username, Username],
    username: Username,
    activity: Mapping[ConversationId, Activity],
    mentions: Sequence[int],
) -> Listed:
    last = None
    head = unread = 0
    if overview is not None and overview.last is not None:
        message = overview.last
        head = message.seq
        unread = head - overview.read.get(username, 0)
        status = Status.DELIVERED
        if _is_whole(detail):
            status = AllRead.by(detail.members, overview.read).status(message)
        last = (message.under(aliases), status)
    change = activity[key].change if last is not None else 0
    return Listed(key, detail, role, head, unread, last, change, mentions)
