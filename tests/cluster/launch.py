"""Services that die at a step, and mutants: `python -m tests.cluster.launch FAULT ... router`.

`die-after=STEP` kills the process with SIGKILL at exactly that step of EXACTNESS 7, the first time
it has something to do there. The others, but for one, are mistakes that a rule forbids; the last
one named is outermost: its calls go through the others.
"""

import asyncio
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from confluent_kafka import KafkaError

from chat4all.adapters.caching import OutboxFollower
from chat4all.adapters.cassandra import CassandraDeadLetters, CassandraSession, batches
from chat4all.adapters.cassandra.changing import SequencedChangesTables
from chat4all.adapters.cassandra.session import Statement
from chat4all.adapters.cassandra.writing import SequencedTables
from chat4all.adapters.kafka import (
    KafkaAnnouncements,
    KafkaConsumer,
    KafkaProducer,
    group_member,
)
from chat4all.adapters.kafka.group_member import GroupMember
from chat4all.adapters.sql import SqlDirectory
from chat4all.cli import main
from chat4all.domain.errors import Unavailable
from chat4all.domain.events import LiveEvent
from chat4all.domain.ids import ConversationId, LogPosition, Username
from chat4all.domain.records import DeadLetter
from chat4all.gateway.live import next_runs
from chat4all.gateway.live.followers import Followed, Follower
from chat4all.gateway.live.resuming import Asked, Resuming
from chat4all.gateway.live.socket import Socket
from chat4all.http.server import upgrading
from chat4all.ports.log import MessageLog, Poll
from chat4all.ports.store import StoreBatch
from chat4all.router import loop
from chat4all.router.loop import Router
from chat4all.usecases import numbering_rules, routing
from chat4all.usecases.routing import Move, Numbering, Plan
from chat4all.usecases.versions import ConversationVersions
from tests.faults.mutants import contents_swapped

STEPS = (
    "planned",
    "dead letters",
    "first batch",  # of a conversation that has a second one, in the next bucket
    "messages",
    "ids",
    "markers",
    "heads",
    "announced",
    "moved",
    "committing",
    "committed",
)
_LAST_BEFORE = {"message_ids": "messages", "read_markers": "ids", "conversation_heads": "markers"}
"""The stage that is acknowledged when the first statement into a table is sent."""

TOLD = "a socket is told at "

SESSION_MS = 2_000
"""A router that is to die is missed sooner: its successors need not wait for it."""


class _Death:
    """Sends SIGKILL to its own process at one step; called after each step."""

    def __init__(self, step: str) -> None:
        self.step = step
        self.has_messages = False
        """Whether the poll in hand has any: a step is not to be met with nothing to lose."""

    def at(self, step: str, work: object = True) -> None:
        if work and step == self.step:
            os.kill(os.getpid(), signal.SIGKILL)


def die_after(step: str) -> None:
    assert step in STEPS
    death = _Death(step)
    _missed_soon()
    _take_all_at_once()
    _die_while_planning(death)
    _die_while_writing(death)
    _die_in_the_end(death)


def _missed_soon() -> None:
    subscribe = GroupMember.subscribe

    def with_short_session(self: GroupMember) -> None:
        self.config |= {"session.timeout.ms": SESSION_MS, "heartbeat.interval.ms": SESSION_MS // 4}
        subscribe(self)

    GroupMember.subscribe = with_short_session  # type: ignore[method-assign]


def _take_all_at_once() -> None:
    """What was in the log before is to be one poll, however slow this machine is."""
    # Gathers from the first poll on.
    group_member.FEW_MAX = -1  # type: ignore[attr-defined]
    group_member.GATHER_SECONDS = group_member.CHECK_SECONDS = 0.5
    group_member.TAKE_SECONDS = 10.0


def _die_while_planning(death: _Death) -> None:
    plan, add = Numbering.plan, CassandraDeadLetters.add

    async def planned(self: Numbering, poll: Poll) -> Plan:
        found = await plan(self, poll)
        death.has_messages = bool(found.batch.messages)
        death.at("planned", death.has_messages)
        return found

    async def added(self: CassandraDeadLetters, letters: Sequence[DeadLetter]) -> None:
        await add(self, letters)
        death.at("dead letters")

    Numbering.plan = planned  # type: ignore[method-assign]
    CassandraDeadLetters.add = added  # type: ignore[method-assign]


def _die_while_writing(death: _Death) -> None:
    one_by_one, write = SequencedChangesTables._write_in_order, SequencedTables.write
    run, run_together = CassandraSession.run, CassandraSession.batch
    # Two of the longest messages make two batches: the log may give a few of them at a time.
    batches.BATCH_BYTES = 64 * 1024

    async def part_by_part(
        self: SequencedChangesTables, batches: Sequence[Sequence[Statement]]
    ) -> None:
        for number, part in enumerate(batches):
            death.at("first batch", number == 1)
            await one_by_one(self, [part])

    def before(statement: str) -> None:
        if statement.startswith("INSERT INTO "):
            death.at(_LAST_BEFORE.get(statement.split()[2], ""))

    async def run_one(self: CassandraSession, statement: str, values: Sequence[object] = ()) -> Any:
        before(statement)
        return await run(self, statement, values)

    async def run_batch(self: CassandraSession, statements: Sequence[Statement]) -> None:
        before(statements[0][0])
        await run_together(self, statements)

    async def written(self: SequencedTables, batch: StoreBatch) -> None:
        await write(self, batch)
        death.at("heads", batch.heads)

    SequencedChangesTables._write_in_order = part_by_part  # type: ignore[method-assign]
    CassandraSession.run = run_one  # type: ignore[method-assign]
    CassandraSession.batch = run_batch  # type: ignore[method-assign]
    SequencedTables.write = written  # type: ignore[method-assign]


def _die_in_the_end(death: _Death) -> None:
    announce, move, commit = KafkaAnnouncements.announce, loop._move, KafkaConsumer.commit

    async def announced(self: KafkaAnnouncements, events: Sequence[LiveEvent]) -> None:
        await announce(self, events)
        death.at("announced", events)

    async def moved(log: MessageLog, moves: Sequence[Move]) -> list[DeadLetter]:
        refused = await move(log, moves)
        death.at("moved")
        return refused

    async def committed(self: KafkaConsumer, through: Sequence[LogPosition]) -> None:
        death.at("committing", death.has_messages)
        await commit(self, through)
        while death.step == "committed" and self._member._commits.are_pending:
            await self._call(self._member.serve)
        death.at("committed", death.has_messages)

    KafkaAnnouncements.announce = announced  # type: ignore[method-assign]
    loop._move = moved
    KafkaConsumer.commit = committed  # type: ignore[method-assign]


def store_away() -> None:
    """Not a mutant: the store is unavailable for the first messages that are written."""
    write = SequencedTables.write
    failed = False

    async def away(self: SequencedTables, batch: StoreBatch) -> None:
        nonlocal failed
        if batch.messages and not failed:
            failed = True
            raise Unavailable("Cassandra: away")
        await write(self, batch)

    SequencedTables.write = away  # type: ignore[method-assign]


def die_after_removal() -> None:
    """Die when a member's removal is in the database, before it is acknowledged."""
    remove = SqlDirectory.remove_member

    async def removed(
        self: SqlDirectory,
        conversation: ConversationId,
        username: Username,
        by: Username | None = None,
    ) -> None:
        await remove(self, conversation, username, by)
        os.kill(os.getpid(), signal.SIGKILL)

    SqlDirectory.remove_member = removed  # type: ignore[method-assign]


def producer_fails() -> None:
    """Not a mutant: the producer fails for good as soon as it is there."""
    begin = KafkaProducer.open

    async def opened(self: KafkaProducer) -> None:
        await begin(self)
        fatal = KafkaError(KafkaError._FENCED, "another producer has its place", fatal=True)
        asyncio.get_running_loop().call_later(0.5, self._take_error, fatal)

    KafkaProducer.open = opened  # type: ignore[method-assign]


def memory_without_end() -> None:
    """Learn of no change after the first poll, and answer from the cache (against rule 19)."""
    poll = OutboxFollower.poll
    heard = False

    async def once(self: OutboxFollower) -> None:
        nonlocal heard
        if heard:
            raise Unavailable("nothing is heard")
        await poll(self)
        heard = True

    OutboxFollower.poll = once  # type: ignore[method-assign]
    OutboxFollower.require = lambda self: None  # type: ignore[method-assign]


def cached_in_silence() -> None:
    """Answer from cached pages though the live feed is silent (against rule 18a)."""
    ConversationVersions.is_heard = lambda self: True  # type: ignore[method-assign]


def commit_before_write() -> None:
    """Commit what is not stored yet (against rule 7)."""
    join, write = KafkaConsumer.open, SequencedTables.write
    consumers: list[KafkaConsumer] = []

    async def joined(self: KafkaConsumer) -> None:
        consumers.append(self)
        await join(self)

    async def committed_first(self: SequencedTables, batch: StoreBatch) -> None:
        await consumers[0].commit(batch.through)
        await write(self, batch)

    KafkaConsumer.open = joined  # type: ignore[method-assign]
    SequencedTables.write = committed_first  # type: ignore[method-assign]


def heads_kept() -> None:
    """Keep a partition's cached heads while another router has it (against rule 2)."""

    def keep(self: Numbering, assignments: Mapping[int, int]) -> None:
        for number, assignment in assignments.items():
            self._partitions.setdefault(number, routing._Partition(assignment))

    Numbering._drop_stale_partitions = keep  # type: ignore[method-assign]


def second_batch_first() -> None:
    """Write a conversation's batches in any order (against rule 3)."""
    one_by_one = SequencedChangesTables._write_in_order

    async def backwards(
        self: SequencedChangesTables, batches: Sequence[Sequence[Statement]]
    ) -> None:
        await one_by_one(self, batches[::-1])

    SequencedChangesTables._write_in_order = backwards  # type: ignore[method-assign]


def error_as_dead_letter() -> None:
    """Skip a poll when the store is unavailable (against rule 1)."""
    carry_out, retry = Router._carry_out, Router._retry_until_done

    async def once(self: Router, what: str, step: Callable[[], Any]) -> Any:
        return await (step() if what == "storing" else retry(self, what, step))

    async def put_aside(self: Router, poll: Poll) -> None:
        try:
            await carry_out(self, poll)
        except Unavailable as error:
            await self._dead_letters.add(
                [DeadLetter(r.log_position, str(error), r.key, r.value) for r in poll.records]
            )
            await self._consumer.commit(routing.last_of_each_partition(poll.records))

    Router._retry_until_done = once  # type: ignore[method-assign]
    Router._carry_out = put_aside  # type: ignore[method-assign]


def replay_without_row() -> None:
    """Take a replay's message row for written (against rule 4)."""
    number = numbering_rules.number_messages

    def without_rows(
        messages: Any, watermarks: Mapping[ConversationId, Any], *written: Any
    ) -> numbering_rules.Numbered:
        done = number(messages, watermarks, *written)
        done.messages = [
            m for m in done.messages if m.log_position > watermarks[m.conversation_id].log_position
        ]
        return done

    numbering_rules.number_messages = without_rows  # type: ignore[assignment]


def attached_at_the_head() -> None:
    """Begin every resume at the head, whatever the client says that it has (against rule 20)."""
    replay = Resuming.replay

    async def at_the_head(
        self: Resuming, follower: Follower, followed: Followed, asked: Asked, *of: Any
    ) -> None:
        _, *opening = of
        await replay(self, follower, followed, asked, followed.head, *opening)

    Resuming.replay = at_the_head  # type: ignore[assignment, method-assign]


def telling_is_written() -> None:
    """No fault: write down when each socket is told that the server restarts."""
    shutdown = Socket.shutdown

    def written(self: Socket) -> None:
        sys.stderr.write(f"{TOLD}{time.monotonic()}\n")
        shutdown(self)

    Socket.shutdown = written  # type: ignore[method-assign]


def told_at_once() -> None:
    """Tell all sockets at once that the server restarts."""
    upgrading.TELLING_SHARE = 1e-9


def read_one_by_one() -> None:
    """Read what a connection lacks message by message, however much it is."""
    next_runs.PAGE = 1


FAULTS = {
    fault.__name__: fault
    for fault in (
        store_away,
        die_after_removal,
        producer_fails,
        memory_without_end,
        attached_at_the_head,
        telling_is_written,
        told_at_once,
        read_one_by_one,
        cached_in_silence,
        commit_before_write,
        heads_kept,
        second_batch_first,
        error_as_dead_letter,
        replay_without_row,
        contents_swapped,
    )
}

if __name__ == "__main__":
    sys.path.insert(0, str(Path.cwd()))
    *faults, command = sys.argv[1:]
    for fault in faults:
        name, _, step = fault.partition("=")
        if step:
            die_after(step)
        else:
            FAULTS[name]()
    sys.argv[1:] = [command]
    main()
