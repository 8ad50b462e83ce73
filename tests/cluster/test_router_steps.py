"""A router process that is killed at a step of EXACTNESS 7, and wrong ones that are found out."""

import json
import signal
import uuid

import pytest

from chat4all.adapters.cassandra.keys import log_timestamp
from chat4all.adapters.kafka import partition_of
from chat4all.domain.ids import LogPosition
from chat4all.domain.messages import CONTENT_MAX
from tests.cluster.chats import PEOPLE, Chats, batches, patiently
from tests.cluster.launch import STEPS
from tests.cluster.services import PARTITIONS, Service
from tests.faults.test_rules import POISON
from tests.records import record

pytestmark = [pytest.mark.slow, pytest.mark.engines, pytest.mark.timeout(600)]

BUCKET = 1_000
ELSEWHERE = "another producer"


def write_past_the_gateways(
    on: Chats, chat: str, contents: list[str], partition: int | None = None
) -> list[LogPosition]:
    ids = [str(uuid.uuid4()) for _ in contents]
    values = [
        record(content, chat=chat, sender=ELSEWHERE, message_id=own)
        for content, own in zip(contents, ids, strict=True)
    ]
    for content, own in zip(contents, ids, strict=True):
        on.sent[chat][ELSEWHERE].is_accepted(content, own)
    return on.produce(values, chat.encode(), partition)


def write_a_bit_of_all(on: Chats, chat: str) -> LogPosition:
    """Messages through both gateways, an id used again, a marker, records in a wrong partition.

    Return where the one record is that no router can process.
    """
    own = str(uuid.uuid4())
    for number in range(6):
        on.send(chat, PEOPLE[number % 3], number % 2)
    for gateway in (0, 1, 1):
        on.send(chat, PEOPLE[0], gateway, own)
    marker = {"type": "read_marker", "chat_id": chat, "username": "ana"}
    on.produce([json.dumps(marker | {"read_seq": 3, "delivered_seq": 3}).encode()], chat.encode())
    right = partition_of(chat.encode(), PARTITIONS)
    write_past_the_gateways(on, chat, ["moved", "moved too"], (right + 1) % PARTITIONS)
    (letter,) = on.produce([POISON], chat.encode())
    on.send(chat, PEOPLE[1], 1)
    return letter


def nearly_a_bucket(on: Chats, router: Service) -> str:
    """Return a chat whose next messages are the last of a bucket and the first of another."""
    chat = on.chat()
    write_past_the_gateways(on, chat, ["filling"] * (BUCKET - 5))
    on.until_routed(router)
    return chat


def dies(router: Service) -> None:
    """Start a router and see it killed."""
    router.start()
    assert router.process is not None
    assert router.process.wait(120) == -signal.SIGKILL
    router.process = None


def survives(on: Chats, *chats: str) -> None:
    """Let a right router go on, and check all."""
    heir = on.router().start()
    on.until_routed(heir)
    for chat in chats:
        on.send(chat, PEOPLE[2], 0)
    on.until_routed(heir)
    on.check(*chats)


@pytest.mark.parametrize("step", [step for step in STEPS if step != "first batch"])
def test_a_router_that_is_killed_loses_nothing_and_doubles_nothing(on: Chats, step: str) -> None:
    """The mutants below are killed at two of these steps, and lose."""
    chats = [on.chat(), on.chat()]
    letters = {write_a_bit_of_all(on, chat) for chat in chats}
    dies(on.router(f"die-after={step}"))
    survives(on, *chats)
    assert letters <= {letter.log_position for letter in on.letters()}


def test_a_router_that_is_killed_between_two_buckets_of_one_batch(on: Chats) -> None:
    filler = on.router().start()
    chat = nearly_a_bucket(on, filler)
    assert filler.stop() == 0
    write_past_the_gateways(on, chat, [f"over the edge {n}" for n in range(20)])
    dies(on.router("die-after=first batch"))
    survives(on, chat)


def two_batches_of_one_bucket(on: Chats) -> str:
    """Return a chat with more messages than one batch may hold, in one poll."""
    chat = on.chat()
    write_past_the_gateways(on, chat, [f"{n:04}" + "🎉" * (CONTENT_MAX - 4) for n in range(30)])
    return chat


def test_a_router_that_is_killed_between_two_batches_of_one_bucket(on: Chats) -> None:
    chat = two_batches_of_one_bucket(on)
    dies(on.router("die-after=first batch"))
    survives(on, chat)


def test_mutant_second_batch_first(on: Chats) -> None:
    """Between two buckets it would do no harm: recovery ends at the first one that is not full."""
    chat = two_batches_of_one_bucket(on)
    dies(on.router("die-after=first batch", "second_batch_first"))
    with pytest.raises(AssertionError, match="it is below the head and has no row"):
        survives(on, chat)


def test_mutant_commit_before_write(on: Chats) -> None:
    chat = on.chat()
    write_a_bit_of_all(on, chat)
    dies(on.router("die-after=committed", "commit_before_write"))
    with pytest.raises(AssertionError, match="missing or out of order"):
        survives(on, chat)


def rows_in_part(on: Chats, chat: str, positions: list[LogPosition]) -> None:
    """Write what is left on a replica where recovery's reads have repaired what they asked for."""
    for seq, position in enumerate(positions, start=1):
        on.cassandra.execute(
            "INSERT INTO messages (conversation_id, bucket, seq, log_position) VALUES "
            f"({chat}, {seq // BUCKET}, {seq}, {tuple(position)}) "
            f"USING TIMESTAMP {log_timestamp(position)}"
        )


def a_replay_of_rows_in_part(on: Chats, *faults: str) -> str:
    chat = on.chat()
    positions = write_past_the_gateways(on, chat, ["one", "two", "three"])
    dies(on.router("die-after=planned"))
    rows_in_part(on, chat, positions)
    replaying = on.router(*faults).start()
    on.until_routed(replaying)
    return chat


def test_rows_of_which_a_part_is_there_are_written_again(on: Chats) -> None:
    on.check(a_replay_of_rows_in_part(on))


def test_mutant_replay_without_the_message_row(on: Chats) -> None:
    chat = a_replay_of_rows_in_part(on, "replay_without_row")
    with pytest.raises(AssertionError, match="history cannot be read"):
        on.check(chat)


def test_mutant_contents_swapped(on: Chats) -> None:
    """It keeps every id, sender and number: only who remembers what was sent can tell."""
    chat = on.chat()
    write_past_the_gateways(on, chat, ["one", "two", "three", "four"])
    on.until_routed(on.router("contents_swapped").start())
    with pytest.raises(AssertionError, match="has another content"):
        on.check(chat)


def a_store_that_was_away(on: Chats, *faults: str) -> str:
    chat = on.chat()
    for number in range(4):
        on.send(chat, PEOPLE[number % 3], number % 2)
    router = on.router("store_away", *faults).start()
    on.until_routed(router)
    return chat


def test_a_store_that_is_away_is_waited_for(on: Chats) -> None:
    letters = on.letters()
    on.check(a_store_that_was_away(on))
    assert on.letters() == letters


def test_mutant_store_error_as_dead_letter(on: Chats) -> None:
    chat = a_store_that_was_away(on, "error_as_dead_letter")
    with pytest.raises(AssertionError, match="missing or out of order"):
        on.check(chat)


def a_partition_that_is_away_for_a_while(on: Chats, *faults: str) -> list[str]:
    """One router numbers in all partitions, another one in some of them, then the first again."""
    chats = list(on.chat_in_each_partition().values())

    def say() -> None:
        for chat in chats:
            on.send(chat, PEOPLE[0])

    first = on.router(*faults).start()
    say()
    on.until_routed(first)
    second = on.router().start()

    def second_has_some() -> bool:
        say()
        return batches(second) > 0

    patiently(second_has_some)
    on.until_routed(first)
    assert second.stop() == 0
    say()
    on.until_routed(first)
    return chats


def test_heads_do_not_outlive_their_assignment(on: Chats) -> None:
    on.check(*a_partition_that_is_away_for_a_while(on))


def test_mutant_heads_kept_across_assignments(on: Chats) -> None:
    chats = a_partition_that_is_away_for_a_while(on, "heads_kept")
    with pytest.raises(AssertionError, match="missing or out of order"):
        on.check(*chats)
