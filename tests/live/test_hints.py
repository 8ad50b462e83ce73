"""Who is added or removed is told on the feed under a key of their own: the directory is asked."""

import asyncio
from collections.abc import Sequence
from typing import Any
from unittest.mock import patch

import pytest

from chat4all.adapters import announcing
from chat4all.adapters.announcing import announcing_members
from chat4all.adapters.caching import OutboxFollower
from chat4all.domain.errors import Unavailable
from chat4all.domain.events import LiveEvent, MembershipsChanged
from chat4all.domain.ids import Username
from chat4all.gateway.live.followers import Followers
from chat4all.gateway.live.hints import MembershipHints
from chat4all.ports.outbox import OutboxPage
from tests.api.conftest import Api
from tests.contract.test_directory import ANA, BRUNO, group
from tests.live.gateways import more_gateways
from tests.live.sockets import resumed, until

pytestmark = pytest.mark.anyio


async def test_who_joins_is_told_though_the_outbox_was_not_due(api: Api) -> None:
    ana, carla = await api.sign_in("ana"), await api.sign_up("carla")
    async with more_gateways(api) as ([other], feed):
        made = await api.gateway.post(
            "/v1/conversations", json={"type": "group", "title": "G", "members": []}, headers=ana
        )
        path = f"/v1/conversations/{made.json()['conversation_id']}/members"
        socket = await resumed(other, carla)
        polls = asyncio.Event()

        async def never() -> None:
            await polls.wait()

        with patch.object(api.parts.follower, "poll", never):  # but what hints lead to
            await api.gateway.post(path, json={"username": "carla"}, headers=ana)
            assert "user:carla" in feed.keys
            assert (await socket.heard("conversation"))["event"] == "added"
            await api.metadata.delete(f"{path}/carla", headers=ana)
            assert (await socket.heard("conversation", 2))["event"] == "removed"
        polls.set()


async def test_a_late_hint_lets_nobody_in(api: Api) -> None:
    """Fails when the event is the answer (rule 20f)."""
    ana, carla = await api.sign_in("ana"), await api.sign_up("carla")
    made = await api.gateway.post(
        "/v1/conversations", json={"type": "group", "title": "G", "members": []}, headers=ana
    )
    chat = made.json()["conversation_id"]
    socket = await resumed(api.parts.live, carla)
    path = f"/v1/conversations/{chat}/members"
    await api.gateway.post(path, json={"username": "carla"}, headers=ana)
    await api.gateway.delete(f"{path}/carla", headers=ana)
    await until(lambda: not len(api.parts.live._parts.hints._work))
    socket.frames.clear()
    await api.parts.feed.announce([MembershipsChanged(Username("carla"))])
    await until(lambda: not len(api.parts.live._parts.hints._work))
    await api.send(ana, chat_id=chat)
    await api.routed()
    assert socket.frames == []


async def test_only_users_of_this_gateway_are_looked_for_and_hints_are_gathered() -> None:
    polls = 0

    async def poll() -> None:
        nonlocal polls
        polls += 1

    followers = Followers()
    hints = MembershipHints(followers, poll)
    hints.heard("user:ana")
    assert len(hints._work) == 0
    followers.users[ANA] = set()
    for _ in range(100):
        hints.heard("user:ana")
    await until(lambda: not len(hints._work))
    assert 1 <= polls <= 2
    await hints.close()


class Feed:
    """Takes announcements, or does not answer."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.trouble: str | None = None

    async def announce(self, events: Sequence[LiveEvent]) -> None:
        if self.trouble == "hangs":
            await asyncio.Event().wait()
        if self.trouble is not None:
            raise Unavailable(self.trouble)
        self.told += [one.username for one in events if isinstance(one, MembershipsChanged)]


class Directory:
    """Takes changes, or refuses them."""

    def __init__(self) -> None:
        self.changes = 0
        self.refuses = False

    async def _change(self, *_: Any, **__: Any) -> None:
        if self.refuses:
            raise Unavailable("refused")
        self.changes += 1

    add_conversation = add_member = remove_member = change_role = _change


async def test_changes_are_announced_once_made_and_never_fail_by_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(announcing, "TELL_SECONDS", 0.01)
    monkeypatch.setattr(announcing, "TOLD_MAX", 2)
    feed, directory = Feed(), Directory()
    changing: Any = announcing_members(directory, feed)  # type: ignore[type-var]
    chat = group(ANA, BRUNO)
    await changing.add_conversation(chat, ANA)
    await changing.add_member(chat.conversation_id, BRUNO)
    await changing.remove_member(chat.conversation_id, ANA, by=ANA)
    assert feed.told == [ANA, BRUNO, BRUNO, ANA]
    await changing.add_conversation(group(ANA, BRUNO, Username("carla")), ANA)
    await changing.change_role(chat.conversation_id, BRUNO)
    for trouble in ("away", "hangs"):
        feed.trouble = trouble
        await changing.remove_member(chat.conversation_id, ANA)
    assert directory.changes == 7
    feed.trouble, directory.refuses = None, True
    with pytest.raises(Unavailable, match="refused"):
        await changing.add_member(chat.conversation_id, ANA)
    assert len(feed.told) == 4


async def test_polls_wait_for_each_other() -> None:
    """Fails when the page of an earlier poll comes last and takes the position back."""
    asked: list[int | None] = []
    first = asyncio.Event()

    class Outbox:
        async def after(self, position: int | None) -> OutboxPage:
            asked.append(position)
            if len(asked) == 1:
                await first.wait()
            return OutboxPage(len(asked), (), complete=True)

    follower = OutboxFollower(Outbox())
    polls = [asyncio.create_task(follower.poll()) for _ in range(2)]
    await until(lambda: asked)
    first.set()
    await asyncio.gather(*polls)
    assert asked == [None, 1]
