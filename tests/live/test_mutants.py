"""Mutants of live delivery, each breaking one rule; each must be caught every time."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import pytest

from chat4all.domain.ids import ConversationId, Username
from chat4all.domain.people import Role
from chat4all.domain.position import START, Position
from chat4all.gateway.live import next_runs
from chat4all.gateway.live.connections import Wrap
from chat4all.gateway.live.delivering import Delivery, Step
from chat4all.gateway.live.followers import Followed, Follower, Followers
from chat4all.gateway.live.hub import Hub
from chat4all.gateway.live.membership import PresentMembers
from chat4all.gateway.live.next_runs import NOTHING, Known, NextRuns
from chat4all.gateway.live.resuming import Asked, Resuming
from chat4all.gateway.live.runs import Changes, Messages, Run
from chat4all.usecases.reading import Reading
from chat4all.wire.messages import MessageView
from tests.live.scenario import live_through, random_steps

LIVES = 80
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
        before, run = dict(followed.positions), _run_of(step)

        def note(follower: Follower, position: Position) -> Position | None:
            return step(follower, before[follower])

        for follower, at in before.items():
            if run is not None:
                followed.positions[follower] = at.joined(run._moved(at, run.last))
        await fan_out(self, followed, note)

    patch.setattr(Delivery, "_fan_out", moved_first)


def _run_of(step: Step) -> Run | None:
    if step.__qualname__.startswith("send"):
        for cell in step.__closure__ or ():
            if isinstance(cell.cell_contents, Run):
                return cell.cell_contents
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
        self._hub.attach(follower, followed, followed.head)
        await replay(self, follower, followed, asked, position, opening)

    patch.setattr(Resuming, "replay", early)


def resume_that_ends_one_short(patch: Patch) -> None:
    """Send all of a page of messages but its last one."""
    _end_one_short(patch, Messages)


def resume_that_ends_one_change_short(patch: Patch) -> None:
    """Send all of some changes but the last one."""
    _end_one_short(patch, Changes)


def _end_one_short(patch: Patch, kind: type[Run]) -> None:
    piece_above = Run.piece_above

    def short(self: Run, position: Position, wrap: Wrap) -> tuple[bytes, Position]:
        frames, at = piece_above(self, position, wrap)
        is_last = isinstance(self, kind) and self.last > self.first and not self.follows(at)
        return (b"" if is_last else frames), at

    patch.setattr(Run, "piece_above", short)


def gap_ignored(patch: Patch) -> None:
    """Send what was announced, whatever is missing before it."""

    async def announced_if_any(
        self: NextRuns,
        conversation: ConversationId,
        position: Position,
        head: Position,
        known: Known = NOTHING,
    ) -> Run:
        if known.messages and position.seq < head.seq:
            return known.messages
        return await after(self, conversation, position, head, known)

    def follows(self: Run, position: Position) -> bool:
        return position.seq < self.last

    after = NextRuns.after
    patch.setattr(NextRuns, "after", announced_if_any)
    patch.setattr(Messages, "follows", follows)


def gap_of_changes_ignored(patch: Patch) -> None:
    """Send the changes that were announced, whatever is missing before them."""

    def announced(
        changes: Iterable[tuple[int, int]], after: int, limit: int
    ) -> Sequence[tuple[int, int]]:
        return sorted(one for one in changes if one[0] > after)[:limit]

    def follows(self: Run, position: Position) -> bool:
        return position.seq >= self.needs and position.change < self.last

    patch.setattr(next_runs, "next_changes", announced)
    patch.setattr(Changes, "follows", follows)


def change_before_its_message(patch: Patch) -> None:
    """Send the changes first, whatever messages are missing."""
    after = NextRuns.after

    async def changes_first(
        self: NextRuns,
        conversation: ConversationId,
        position: Position,
        head: Position,
        known: Known = NOTHING,
    ) -> Run:
        if position.change < head.change:
            head = Position(position.seq, head.change)
        run = await after(self, conversation, position, head, known)
        run.needs = 0
        return run

    patch.setattr(NextRuns, "after", changes_first)


def page_older_than_its_position(patch: Patch) -> None:
    """Show a message as it was kept when it was read for an earlier change."""
    kept: dict[tuple[ConversationId, int], MessageView] = {}
    numbered = Reading.numbered

    async def kept_first(
        self: Reading,
        conversation: ConversationId,
        members: Mapping[Username, Role],
        numbers: Collection[int],
    ) -> Mapping[int, MessageView]:
        read = await numbered(self, conversation, members, numbers)
        return {seq: kept.setdefault((conversation, seq), view) for seq, view in read.items()}

    patch.setattr(Reading, "numbered", kept_first)


def head_whose_axes_share_a_guard(patch: Patch) -> None:
    """Keep the greater of the head and what is announced, as if one number decided."""

    def guarded(put: Callable[..., None]) -> Callable[..., None]:
        def announced(self: Followed, *what: Any) -> None:
            before, self.head = self.head, START
            put(self, *what)
            self.head = max(before, self.head)

        return announced

    patch.setattr(Followed, "put", guarded(Followed.put))
    patch.setattr(Followed, "put_change", guarded(Followed.put_change))


def membership_looked_at_when_a_replay_begins(patch: Patch) -> None:
    """Go on with a replay whose user is removed meanwhile."""
    is_member = Resuming._is_member
    found: dict[tuple[Follower, ConversationId], bool] = {}

    async def once(
        self: Resuming, follower: Follower, conversation: ConversationId, asked: Asked
    ) -> bool:
        key = follower, conversation
        if key not in found:
            found[key] = await is_member(self, follower, conversation, asked)
        return found[key]

    patch.setattr(Resuming, "_is_member", once)


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
    resume_that_ends_one_change_short,
    gap_ignored,
    gap_of_changes_ignored,
    change_before_its_message,
    page_older_than_its_position,
    head_whose_axes_share_a_guard,
    membership_looked_at_when_a_replay_begins,
    members_loaded_across_a_removal,
    membership_looked_at_once,
]


@pytest.mark.thorough
@pytest.mark.parametrize("mutate", MUTANTS, ids=lambda mutant: mutant.__name__)
def test_a_mutant_is_caught(mutate: Callable[[Patch], None], monkeypatch: Patch) -> None:
    mutate(monkeypatch)
    with pytest.raises(AssertionError):
        live_through_many()


@pytest.mark.thorough
def test_without_a_mutant_nothing_is_caught() -> None:
    live_through_many()


def live_through_many() -> None:
    for seed in range(LIVES):
        live_through(random_steps(seed), seed)
