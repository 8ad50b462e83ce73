"""Lists of conversations: their order, their pages, and what they cost."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat4all.domain.ids import ConversationId, LogPosition, MessageId, Username
from chat4all.domain.listing import Detail, JoinedConversation, Listed
from chat4all.domain.messages import Activity, Overview, StoredMessage
from chat4all.domain.people import ConversationType, Role
from chat4all.domain.times import parse_milliseconds
from chat4all.ports.summaries import MentionsQuery, OverviewQuery
from chat4all.usecases.listing import Listing
from chat4all.usecases.public_names import PublicNames

pytestmark = pytest.mark.anyio

ANA, BRUNO, GONE = Username("ana"), Username("bruno"), Username("gone")


def moment(second: int) -> str:
    return f"2026-01-31T12:00:{second:02}.000Z"


class Fake:
    """All that a list is made of, and how often it is asked."""

    def __init__(self) -> None:
        self.joined: dict[ConversationId, str] = {}
        self.last: dict[ConversationId, tuple[int, str, Username]] = {}
        self.read: dict[ConversationId, dict[Username, int]] = {}
        self.large: set[ConversationId] = set()
        self.asked: Counter[str] = Counter()
        self.looked_through: dict[ConversationId, MentionsQuery] = {}

    def chat(self, number: int) -> ConversationId:
        return ConversationId(f"00000000-0000-0000-0000-{number:012}")

    async def of_user(self, username: Username) -> Sequence[JoinedConversation]:
        self.asked["of_user"] += 1
        return [JoinedConversation(key, Role.MEMBER, at) for key, at in self.joined.items()]

    async def details(
        self, conversations: Sequence[ConversationId], viewer: Username
    ) -> Mapping[ConversationId, Detail]:
        self.asked["details"] += 1
        members = {ANA: Role.MEMBER, BRUNO: Role.MEMBER}
        return {
            key: Detail(
                ConversationType.GROUP,
                None,
                self.joined[key],
                {},
                members,
                500 if key in self.large else 2,
                None,
            )
            for key in conversations
        }

    async def activity(
        self, conversations: Sequence[ConversationId]
    ) -> Mapping[ConversationId, Activity]:
        self.asked["activity"] += 1
        return {
            key: Activity(self.last[key][0], parse_milliseconds(self.last[key][1]))
            for key in conversations
            if key in self.last
        }

    async def overviews(
        self, asked: Mapping[ConversationId, OverviewQuery]
    ) -> Mapping[ConversationId, Overview]:
        self.asked["overviews"] += 1
        found = {}
        for key, one in asked.items():
            seq, at, sender = self.last[key]
            assert one.seq == seq
            message_id, position = MessageId("m"), LogPosition(0, 0, seq)
            message = StoredMessage(key, seq, message_id, sender, "x", at, position)
            read = self.read.get(key, {})
            found[key] = Overview(message, {who: read[who] for who in one.readers if who in read})
        return found

    async def mentions(
        self, asked: Mapping[ConversationId, MentionsQuery]
    ) -> Mapping[ConversationId, Sequence[int]]:
        self.asked["mentions"] += 1
        self.looked_through = dict(asked)
        return {key: range(one.after + 1, one.through + 1) for key, one in asked.items()}

    async def aliases(self, usernames: Sequence[Username]) -> Mapping[Username, Username]:
        self.asked["aliases"] += 1
        return {name: Username("deleted-1") for name in usernames if name == GONE}


def listing(fake: Any) -> Listing:
    return Listing(fake, fake, PublicNames(fake))


async def pages(fake: Fake, limit: int) -> list[Listed]:
    found: list[Listed] = []
    after: str | None = ""
    while after is not None:
        page, after = await listing(fake).page(ANA, limit, after)
        assert len(page) <= limit
        assert after is None or len(page) == limit
        found += page
    return found


@pytest.mark.thorough
@given(
    times=st.lists(st.tuples(st.integers(0, 5), st.one_of(st.none(), st.integers(0, 5)))),
    limit=st.integers(1, 5),
)
async def test_pages_together_are_everything_once_the_newest_first(
    times: list[tuple[int, int | None]], limit: int
) -> None:
    fake = Fake()
    newest = {}
    for number, (joined, said) in enumerate(times):
        key = fake.chat(number)
        fake.joined[key] = moment(joined)
        if said is not None:
            fake.last[key] = (1, moment(said), BRUNO)
        newest[key] = moment(joined if said is None else said)
    found = [one.conversation_id for one in await pages(fake, limit)]
    assert found == sorted(newest, key=lambda key: (newest[key], key), reverse=True)


async def test_fifty_cost_as_many_rounds_as_one() -> None:
    for count in (1, 50):
        fake = Fake()
        for number in range(count):
            fake.joined[fake.chat(number)] = moment(1)
            fake.last[fake.chat(number)] = (3, moment(2), GONE)
        page, _ = await listing(fake).page(ANA, 50, "")
        assert len(page) == count
        assert set(fake.asked.values()) == {1}
        once = {"of_user", "details", "activity", "overviews", "mentions", "aliases"}
        assert set(fake.asked) == once


async def test_what_is_unread_and_what_the_last_message_is() -> None:
    fake = Fake()
    spoken, silent, large = (fake.chat(n) for n in (3, 2, 1))
    fake.joined = dict.fromkeys((spoken, silent, large), moment(1))
    fake.last = {spoken: (7, moment(4), BRUNO), large: (9, moment(3), GONE)}
    fake.read = {spoken: {ANA: 7, BRUNO: 7}, large: {ANA: 5, BRUNO: 9}}
    fake.large = {large}
    found = {one.conversation_id: one for one in await pages(fake, 10)}
    assert list(found) == [spoken, large, silent]
    assert [one.unread for one in found.values()] == [0, 4, 0]
    assert [str(one.position) for one in found.values()] == ["7.0", "9.0", "0.0"]
    one, status = found[spoken].last or (None, None)
    assert one is not None
    assert (one.seq, one.sender_id, status) == (7, BRUNO, "READ")
    one, status = found[large].last or (None, None)
    assert one is not None
    # Who else of so many has read it is not asked for in a list.
    assert (one.seq, one.sender_id, status) == (9, "deleted-1", "DELIVERED")
    assert found[silent].last is None


async def test_mentions_are_looked_for_where_something_is_unread_and_not_too_far_back() -> None:
    fake = Fake()
    few, many, read = (fake.chat(n) for n in range(3))
    fake.joined = dict.fromkeys((few, many, read), moment(1))
    fake.last = {key: (5_000, moment(2), BRUNO) for key in fake.joined}
    fake.read = {few: {ANA: 4_998}, read: {ANA: 5_000}}
    found = {one.conversation_id: list(one.unread_mentions) for one in await pages(fake, 10)}
    assert found == {few: [4_999, 5_000], many: list(range(4_951, 5_001)), read: []}
    assert fake.looked_through == {
        few: MentionsQuery(ANA, 4_998, 5_000),
        many: MentionsQuery(ANA, 4_000, 5_000),
    }
