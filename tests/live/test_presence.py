"""Who is online: told to those who watch and share a conversation, over any number of gateways."""

from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime, timedelta
from functools import partial
from math import inf

import pytest

from chat4all.domain.errors import Overloaded
from chat4all.domain.events import PresenceAsked
from chat4all.domain.ids import Username
from chat4all.gateway.live import presence, watching
from chat4all.gateway.live.presence import Presence, State
from chat4all.gateway.live.watching import Watching, WatchList
from chat4all.wire.events import decode_events
from tests.live.presence_world import CHAT, OTHER_CHAT, World

pytestmark = pytest.mark.anyio

ONLINE, OFFLINE = ("bruno", "online"), ("bruno", "offline")

Patch = pytest.MonkeyPatch


async def test_presence_is_told_at_once_and_whenever_it_changes(world: World) -> None:
    here, there = world.gateways
    ana, bruno = here.connect("ana"), there.connect("bruno")
    here.watch(ana, "bruno", "carla")
    await world.settle()
    assert ana.told == [ONLINE]
    await world.pass_time(2)
    assert ana.told == [ONLINE, ("carla", "offline")]
    assert "last_seen" not in ana.last
    there.connect("carla")
    await world.settle()
    assert ana.told[2:] == [("carla", "online")]
    there.leave(bruno)
    await world.pass_time(44)
    assert len(ana.told) == 3
    await world.pass_time(1)
    assert ana.told[3:] == [OFFLINE]
    ago = datetime.now(UTC) - datetime.fromisoformat(ana.last["last_seen"])
    assert timedelta(seconds=44.9) < ago < timedelta(seconds=46)


async def test_who_connects_again_was_never_offline(world: World) -> None:
    here, there = world.gateways
    ana, bruno = here.connect("ana"), there.connect("bruno")
    here.watch(ana, "bruno")
    await world.settle()
    for gateway in (here, there, here):
        (there if gateway is here else here).leave(bruno)
        await world.pass_time(40)
        bruno = gateway.connect("bruno")
        await world.settle()
    await world.pass_time(300)
    assert ana.told == [ONLINE]


async def test_one_of_several_connections_that_ends_changes_nothing(world: World) -> None:
    here, there = world.gateways
    ana = here.connect("ana")
    devices = [there.connect("bruno"), there.connect("bruno"), here.connect("bruno")]
    here.watch(ana, "bruno")
    await world.settle()
    there.leave(devices[0])
    here.leave(devices[2])
    await world.pass_time(300)
    assert ana.told == [ONLINE]
    there.leave(devices[1])
    await world.pass_time(45)
    assert ana.told == [ONLINE, OFFLINE]


async def test_the_users_of_a_gateway_that_dies_go_offline(world: World) -> None:
    here, there = world.gateways
    ana = here.connect("ana")
    there.connect("bruno")
    here.watch(ana, "bruno")
    await world.pass_time(100)
    world.feed.gateways.remove(there)
    await world.pass_time(29)
    assert ana.told == [ONLINE]
    await world.pass_time(16)
    assert ana.told == [ONLINE, OFFLINE]
    await there.watching.close()


async def test_nobody_tells_anything_while_nobody_watches(world: World) -> None:
    here, there = world.gateways
    ana = here.connect("ana")
    for _ in range(3):
        there.leave(there.connect("bruno"))
        await world.pass_time(50)
    assert world.feed.keys == []
    here.watch(ana, "bruno")
    await world.pass_time(40)
    assert world.feed.keys
    here.watch(ana)
    await world.pass_time(50)
    world.feed.keys.clear()
    there.connect("bruno")
    await world.pass_time(100)
    assert world.feed.keys == []
    assert (here.presence._wanted, here.watching._watchers, here.watching._size) == ({}, {}, 0)


async def test_users_who_are_not_asked_about_are_not_told(world: World) -> None:
    here, there = world.gateways
    ana = here.connect("ana")
    here.watch(ana, "carla")
    await world.settle()
    world.feed.keys.clear()
    there.connect("bruno")
    there.connect("davi")
    await world.settle()
    assert world.feed.keys == []


async def test_who_shares_no_conversation_is_neither_told_nor_asked_about(world: World) -> None:
    here, there = world.gateways
    ana, davi = here.connect("ana"), there.connect("davi")
    here.watch(ana, "davi", "nobody", "\0", "no\ud800body")
    await world.pass_time(60)
    there.leave(davi)
    await world.pass_time(60)
    assert ana.told == []
    assert world.feed.keys == []


async def test_who_comes_to_share_a_conversation_is_told_and_who_ceases_to_is_not(
    world: World,
) -> None:
    here, there = world.gateways
    ana, davi = here.connect("ana"), there.connect("davi")
    here.watch(ana, "davi")
    await world.pass_time(3)
    world.add("davi")
    here.members_changed(CHAT)
    await world.settle()
    assert ana.told == [("davi", "online")]
    # They share another one too, and then none: what changes after that is not told.
    world.add("ana", OTHER_CHAT)
    world.add("davi", OTHER_CHAT)
    world.remove("davi")
    there.leave(davi)
    await world.pass_time(50)
    assert ana.told == [("davi", "online"), ("davi", "offline")]
    world.remove("ana", OTHER_CHAT)
    there.connect("davi")
    await world.pass_time(50)
    assert len(ana.told) == 2
    # Again: the whole state is told.
    world.add("davi")
    here.members_changed(CHAT)
    await world.settle()
    assert ana.told[2:] == [("davi", "online")]


async def test_nothing_is_told_while_members_are_not_certain(world: World) -> None:
    here, there = world.gateways
    ana = here.connect("ana")
    here.watch(ana, "bruno")
    await world.pass_time(3)
    world.people.is_certain = False
    there.connect("bruno")
    await world.settle()
    assert ana.told == [OFFLINE]
    world.people.is_certain = True
    await world.pass_time(1)
    assert ana.told == [OFFLINE, ONLINE]


async def test_what_is_due_is_one_write_after_one_look_at_all_members(world: World) -> None:
    here, there = world.gateways
    for name in ("ana", "davi"):
        world.add(name, OTHER_CHAT)
    names = ["bruno", "carla", "davi"]
    for name in names:
        there.connect(name)
    here.watch(here.connect("ana"), *names)
    await world.settle()
    ana = here.connect("ana")
    here.watch(ana, *names)
    await world.settle()
    assert (ana.writes, sorted(ana.told)) == (1, [(name, "online") for name in names])
    # While the members of each conversation are read, somebody leaves the other one.
    loading = world.people.loading
    loading[CHAT] = lambda: world.remove("davi", OTHER_CHAT)
    loading[OTHER_CHAT] = lambda: world.remove("bruno", CHAT)
    ana = here.connect("ana")
    here.watch(ana, *names)
    await world.settle()
    assert (loading, ana.told) == ({}, [("carla", "online")])


async def test_watching_others_replaces_and_watching_again_tells_again(world: World) -> None:
    here, there = world.gateways
    ana = here.connect("ana")
    bruno = there.connect("bruno")
    for _ in range(2):
        here.watch(ana, "bruno")
        await world.settle()
    assert ana.told == [ONLINE, ONLINE]
    here.watch(ana, "carla")
    there.leave(bruno)
    await world.pass_time(60)
    assert ana.told[2:] == [("carla", "offline")]


async def test_a_full_socket_is_told_the_state_once_there_is_room(world: World) -> None:
    here, there = world.gateways
    ana, bruno = here.connect("ana"), there.connect("bruno")
    here.watch(ana, "bruno")
    await world.settle()
    ana.has_space = False
    there.leave(bruno)
    await world.pass_time(50)
    there.connect("bruno")
    await world.pass_time(5)
    there.leave(there.connect("carla"))
    ana.has_space = True
    await world.pass_time(1)
    assert ana.told == [ONLINE]  # as it was last told
    here.watch(ana, "bruno", "carla")
    ana.has_space = False
    await world.settle()
    ana.has_space = True
    await world.pass_time(1)
    assert sorted(ana.told[1:]) == [ONLINE, ("carla", "online")]


async def test_a_silent_feed_puts_nobody_offline(world: World) -> None:
    here, there = world.gateways
    ana, bruno = here.connect("ana"), there.connect("bruno")
    here.watch(ana, "bruno")
    await world.settle()
    here.is_heard = False
    await world.pass_time(200)
    here.is_heard = True
    await world.pass_time(20)
    assert ana.told == [ONLINE]
    here.is_heard = False
    there.leave(bruno)
    await world.pass_time(100)
    assert ana.told == [ONLINE]
    here.is_heard = True
    await world.pass_time(1)
    assert ana.told == [ONLINE]  # whoever has him may still say so
    await world.pass_time(presence.CERTAIN_SECONDS)
    assert ana.told == [ONLINE, OFFLINE]


async def test_a_gateway_that_starts_learns_who_is_watched(world: World) -> None:
    here, _ = world.gateways
    ana = here.connect("ana")
    here.watch(ana, "bruno")
    await world.pass_time(3)
    assert ana.told == [OFFLINE]
    later = type(here)(world)
    later.connect("bruno")
    await world.pass_time(presence.ROUND_SECONDS + 1)
    assert ana.told == [OFFLINE, ONLINE]


async def test_a_second_gateway_that_asks_is_answered_at_once_also_of_who_has_just_left(
    world: World,
) -> None:
    here, there = world.gateways
    third = type(here)(world)
    await world.pass_time(5)
    ana, carla = here.connect("ana"), third.connect("carla")
    bruno = there.connect("bruno")
    here.watch(ana, "bruno")
    await world.settle()
    there.leave(bruno)
    await world.pass_time(30)
    third.watch(carla, "bruno")
    await world.pass_time(10)
    assert carla.told == [ONLINE]
    await world.pass_time(5)
    assert ana.told == carla.told == [ONLINE, OFFLINE]


async def test_one_machine_knows_everybody_without_a_feed() -> None:
    world = World(1, is_cluster=False)
    (here,) = world.gateways
    ana, bruno = here.connect("ana"), here.connect("bruno")
    here.leave(bruno)
    here.watch(ana, "bruno", "carla", "ana")
    await world.settle()
    assert sorted(ana.told) == [("ana", "online"), ONLINE, ("carla", "offline")]
    await world.pass_time(45)
    assert ana.told[3:] == [OFFLINE]
    assert world.feed.keys == []
    await world.close()


async def test_what_is_remembered_is_bounded(world: World, monkeypatch: Patch) -> None:
    here, there = world.gateways
    monkeypatch.setattr(presence, "ASKED_MAX", 1)
    monkeypatch.setattr(presence, "NAMES_MAX", 1)
    monkeypatch.setattr(watching, "WATCHES_MAX", 2)
    ana = here.connect("ana")
    here.watch(ana, "bruno", "carla")
    await world.settle()
    assert len(there.presence._asked) == 1
    asked = [one.usernames for one in world.feed.events if isinstance(one, PresenceAsked)]
    assert sorted(map(list, asked)) == [["bruno"], ["carla"]]
    with pytest.raises(Overloaded):
        here.watch(here.connect("ana"), "bruno")
    here.watch(ana, "bruno")
    here.leave(ana)
    assert (here.watching._watches, here.watching._of_user, here.watching._size) == ({}, {}, 0)
    assert here.presence._left.maxsize == presence.LEFT_MAX


@pytest.mark.parametrize("limit", ["WATCHES_MAX", "USER_WATCHES_MAX"])
async def test_a_list_that_is_refused_leaves_the_former_one(
    world: World, monkeypatch: Patch, limit: str
) -> None:
    here, there = world.gateways
    monkeypatch.setattr(watching, limit, 2)
    ana = here.connect("ana")
    here.watch(ana, "bruno", "carla")
    here.watch(ana, "carla", "bruno")  # in place of as many
    with pytest.raises(Overloaded):
        here.watch(ana, "bruno", "carla", "davi")
    there.connect("bruno")
    await world.settle()
    assert ana.told == [ONLINE]
    here.watch(ana)
    assert (here.watching._watches, here.watching._size) == ({}, 0)


async def test_one_user_cannot_use_up_what_all_may_watch(world: World, monkeypatch: Patch) -> None:
    here, _ = world.gateways
    monkeypatch.setattr(watching, "USER_WATCHES_MAX", 3)
    here.watch(here.connect("ana"), "made-up", "made-up-too")
    with pytest.raises(Overloaded):
        here.watch(here.connect("ana"), "bruno", "carla")
    here.watch(here.connect("ana"), "bruno")
    here.watch(here.connect("bruno"), "ana", "carla")


async def test_what_is_not_asked_for_is_not_decoded_and_what_cannot_be_read_does_no_harm(
    world: World,
) -> None:
    here, there = world.gateways

    def never() -> list[object]:
        raise AssertionError("decoded though nobody watches")

    here.presence.announced("presence:seen:other", never)  # type: ignore[arg-type]
    ana = here.connect("ana")
    here.watch(ana, "bruno")
    for raw in (b"", b"{", b'[{"type":"presence_seen"}]', b"[" * 10_000):
        here.presence.announced("presence:seen:other", partial(decode_events, raw))
        here.presence.announced("presence:other", partial(decode_events, raw))
    there.connect("bruno")
    await world.settle()
    assert ana.told == [ONLINE]


async def test_who_shares_is_asked_again_after_the_outbox_was_lost(world: World) -> None:
    here, there = world.gateways
    ana = here.connect("ana")
    there.connect("davi")
    here.watch(ana, "davi")
    await world.settle()
    world.add("davi")
    here.watching.all_changed()
    await world.settle()
    assert ana.told == [("davi", "online")]


# Mutants, each breaking one rule; each is caught by one of the lives above.


def flapping(patch: Patch) -> None:
    """Say that a user is offline whenever the last connection to one gateway ends."""
    patch.setattr(presence, "OFFLINE_SECONDS", 0.5)


def offline_at_once(patch: Patch) -> None:
    """Do not wait for another connection of a user who leaves."""
    noticed = Presence._noticed

    def at_once(self: Presence, username: Username) -> None:
        noticed(self, username)
        if username in self._wanted and username not in self._followers.users:
            self._wanted[username].seen_at = -inf
            self._look(username, self._clock())

    patch.setattr(Presence, "_noticed", at_once)


def without_a_common_conversation(patch: Patch) -> None:
    """Look at what two users share only when one begins to watch."""

    def always(_: Watching, watch: WatchList, username: Username, _members: object) -> bool:
        return username in watch.via

    patch.setattr(Watching, "_may_be_told", always)


def state_as_difference(patch: Patch) -> None:
    """Tell only what changes from now on, and take for told what there was no room for."""
    let = Watching._let

    def known(self: Watching, watch: WatchList, username: Username, via: object) -> None:
        let(self, watch, username, via)  # type: ignore[arg-type]
        if (state := self.presence.state(username)) is not None:
            watch.told[username] = state.is_online

    patch.setattr(Watching, "_let", known)


def told_though_there_was_no_room(patch: Patch) -> None:
    """Take a frame for told that was dropped."""
    write = Watching._write

    def regardless(self: Watching, watch: WatchList, usernames: Iterable[Username]) -> None:
        for username in usernames:
            write(self, watch, [username])
            watch.told[username] = (self.presence.state(username) or State(False, None)).is_online
            watch.due.discard(username)

    patch.setattr(Watching, "_write", regardless)


LIVES: list[Callable[[World], Awaitable[None]]] = [
    test_who_connects_again_was_never_offline,
    test_one_of_several_connections_that_ends_changes_nothing,
    test_who_comes_to_share_a_conversation_is_told_and_who_ceases_to_is_not,
    test_watching_others_replaces_and_watching_again_tells_again,
    test_a_full_socket_is_told_the_state_once_there_is_room,
]

MUTANTS: list[Callable[[Patch], None]] = [
    flapping,
    offline_at_once,
    without_a_common_conversation,
    state_as_difference,
    told_though_there_was_no_room,
]


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize("mutate", MUTANTS, ids=lambda mutant: mutant.__name__)
async def test_a_mutant_is_caught(mutate: Callable[[Patch], None], monkeypatch: Patch) -> None:
    mutate(monkeypatch)
    with pytest.raises(AssertionError):
        await live_all()


@pytest.mark.usefixtures("at_once")
async def test_without_a_mutant_nothing_is_caught() -> None:
    await live_all()


async def live_all() -> None:
    for life in LIVES:
        world = World()
        await world.start()
        try:
            await life(world)
        finally:
            await world.close()
