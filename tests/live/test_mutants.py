"""Mutants of live delivery, each breaking one rule; each must be caught every time."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import pytest

from chat4all.domain.ids import ConversationId, Username
from chat4all.domain.people import Role
from chat4all.domain.position import Position
from chat4all.gateway.live import delivering
from chat4all.gateway.live.connections import Wrap
from chat4all.gateway.live.delivering import Delivery, Step
from chat4all.gateway.live.followers import Followed, Follower, Followers
from chat4all.gateway.live.hub import Hub
from chat4all.gateway.live.membership import PresentMembers
from chat4all.gateway.live.resuming import Asked, Resuming
from chat4all.gateway.live.runs import Run
from tests.live.scenario import live_through, random_steps

LIVES = 150
"""A mutant that survives so many lives is not caught."""

Patch = pytest.MonkeyPatch


def subscribe_after_replay(patch: Patch) -> None:
    """Follow a conversation only once everything was sent: nobody keeps its head meanwhile."""
    attach = Followers.attach

    @contextmanager
    def not_held(_: Hub, conversation: ConversationId) -> Iterator[Followed]:
        yield Followed(conversation)

    def attached(self: Followers, follower: Follower, one: Followed, at: Position) -> None:
        with self.held(one.conversation) as followed:
            attach(self, follower, followed, at)

    patch.setattr(Hub, "held", not_held)
    patch.setattr(Followers, "attach", attached)


def position_before_the_frame(patch: Patch) -> None:
    """Move the positions of all, then write: what cannot be written now is never written."""
    fan_out = Delivery._fan_out

    async def moved_first(self: Delivery, followed: Followed, step: Step) -> None:
        before, written = dict(followed.positions), []

        def note(follower: Follower, position: Position) -> Position | None:
            written.append(follower)
            return step(follower, before[follower])

        for follower, at in before.items():
            if step.__qualname__.startswith("send") and (moved := _end_of(step)):
                followed.positions[follower] = max(at, moved)
        await fan_out(self, followed, note)

    patch.setattr(Delivery, "_fan_out", moved_first)


def _end_of(step: Step) -> Position | None:
    for cell in step.__closure__ or ():
        if isinstance(cell.cell_contents, Run):
            return Position(cell.cell_contents.last)
    return None


def attached_before_the_replay(patch: Patch) -> None:
    """Attach with the position of the page, then write the page."""
    replay = Resuming.replay

    async def early(
        self: Resuming,
        follower: Follower,
        followed: Followed,
        asked: Asked,
        position: Position,
        opening: bytes = b"",
    ) -> None:
        self._hub.attach(follower, followed, Position(followed.head))
        await replay(self, follower, followed, asked, position, opening)

    patch.setattr(Resuming, "replay", early)


def resume_that_ends_one_short(patch: Patch) -> None:
    """Send all of a page but its last message."""
    page = Delivery.page

    class Short(Run):
        def piece_above(self, seq: int, wrap: Wrap) -> tuple[bytes, Position]:
            frames, at = super().piece_above(seq, wrap)
            return (b"" if at.seq == self.last else frames), at

    async def short(self: Delivery, chat: ConversationId, after: int, limit: int) -> Run | None:
        run = await page(self, chat, after, limit)
        if run is not None and run.last > run.first:
            return Short(run.first, run._payloads)
        return run

    patch.setattr(Delivery, "page", short)


def gap_ignored(patch: Patch) -> None:
    """Send what was announced, whatever is missing before it."""

    async def announced_if_any(
        self: Delivery, followed: Followed, floor: int, head: int, announced: Run | None
    ) -> Run:
        return announced or await following(self, followed, floor, head, announced)

    def send(run: Run, _head: int, _lagging: set[Follower]) -> Step:
        def step(follower: Follower, position: Position) -> Position | None:
            if position.seq >= run.last:
                return None
            frames, moved = run.piece_above(position.seq, follower.wrap)
            follower.socket.write(frames)
            return moved

        return step

    following = Delivery._next
    patch.setattr(Delivery, "_next", announced_if_any)
    patch.setattr(delivering, "send", send)


def members_loaded_across_a_removal(patch: Patch) -> None:
    """Believe a load of members that was under way when they changed."""

    async def of(self: PresentMembers, chat: ConversationId) -> Mapping[Username, Role]:
        return await self._members.members(chat)

    patch.setattr(PresentMembers, "of", of)


def membership_looked_at_once(patch: Patch) -> None:
    """Look at the members when a delivery begins, not before each slice."""
    deliver = Delivery.deliver

    async def remembering(self: Delivery, chat: ConversationId) -> None:
        present, found = self._members, await self._members.of(chat)

        class Remembered(PresentMembers):
            async def of(self, _: ConversationId) -> Mapping[Username, Role]:
                return found

        self._members = Remembered(present._members)
        try:
            await deliver(self, chat)
        finally:
            self._members = present

    patch.setattr(Delivery, "deliver", remembering)


MUTANTS: list[Callable[[Patch], None]] = [
    subscribe_after_replay,
    position_before_the_frame,
    attached_before_the_replay,
    resume_that_ends_one_short,
    gap_ignored,
    members_loaded_across_a_removal,
    membership_looked_at_once,
]


@pytest.mark.parametrize("mutate", MUTANTS, ids=lambda mutant: mutant.__name__)
def test_a_mutant_is_caught(mutate: Callable[[Patch], None], monkeypatch: Patch) -> None:
    mutate(monkeypatch)
    with pytest.raises(AssertionError):
        live_through_many()


def test_without_a_mutant_nothing_is_caught() -> None:
    live_through_many()


def live_through_many() -> None:
    for seed in range(LIVES):
        live_through(random_steps(seed), seed)
