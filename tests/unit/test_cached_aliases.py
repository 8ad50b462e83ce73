"""However many former members wrote a page, the directory is asked once."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from chat4all.adapters.caching import OutboxFollower, cached_aliases
from chat4all.domain.errors import Unavailable
from chat4all.domain.ids import Username
from chat4all.ports.history import EncodedPage
from chat4all.ports.outbox import OutboxEntry, OutboxPage, Subject
from chat4all.usecases.public_names import PublicNames

pytestmark = pytest.mark.anyio

SENDERS = [Username(f"sender{n}") for n in range(200)]


class Users:
    """Every second sender was erased. `asked` has the names of each call."""

    def __init__(self) -> None:
        self.asked: list[list[Username]] = []
        self.during: Any = None

    async def aliases(self, usernames: Sequence[Username]) -> Mapping[Username, Username]:
        self.asked.append(list(usernames))
        if self.during is not None:
            self.during()
        return {name: Username(f"deleted-{name}") for name in usernames if name[-1] in "02468"}

    async def erase_user(self, username: Username, session: object = None) -> None:
        """Nothing."""


class Outbox:
    async def after(self, position: int | None) -> OutboxPage:
        return OutboxPage(position or 0, [], complete=True)


@pytest.fixture
def users() -> Users:
    return Users()


@pytest.fixture
async def follower() -> OutboxFollower:
    found = OutboxFollower(Outbox(), clock=lambda: 0.0)
    await found.poll()
    return found


async def test_200_former_senders_are_one_question(users: Users, follower: OutboxFollower) -> None:
    names = PublicNames(cached_aliases(users, follower))  # type: ignore[type-var]
    page = EncodedPage(b"[]", 1, 200, more=False, names=frozenset(SENDERS))
    for _ in range(2):
        await names.in_page(page, {})
        assert len(await names.aliases(SENDERS, {})) == 100
    assert [sorted(asked) for asked in users.asked] == [sorted(SENDERS)]


async def test_only_what_is_not_cached_is_asked_for(users: Users, follower: OutboxFollower) -> None:
    cached = cached_aliases(users, follower)  # type: ignore[type-var]
    assert await cached.aliases(SENDERS[:3]) == {
        SENDERS[0]: "deleted-sender0",
        SENDERS[2]: "deleted-sender2",
    }
    await cached.aliases(SENDERS[:5])
    await cached.erase_user(SENDERS[1], None)
    await cached.aliases(SENDERS[:5])
    assert users.asked == [SENDERS[:3], SENDERS[3:5], [SENDERS[1]]]


async def test_only_what_changed_while_it_was_loaded_is_loaded_again(
    users: Users, follower: OutboxFollower
) -> None:
    cached = cached_aliases(users, follower)  # type: ignore[type-var]
    (cache,) = follower._listeners
    entry = OutboxEntry("1", Subject.ALIAS, SENDERS[0])
    users.during = lambda: cache.changed([entry])
    await cached.aliases(SENDERS[:2])
    users.during = None
    await cached.aliases(SENDERS[:2])
    assert users.asked == [SENDERS[:2], SENDERS[:1]]


async def test_nothing_is_known_while_the_outbox_is_not_heard(users: Users) -> None:
    cached = cached_aliases(users, OutboxFollower(Outbox()))  # type: ignore[type-var]
    with pytest.raises(Unavailable):
        await cached.aliases(SENDERS)
    assert users.asked == []
