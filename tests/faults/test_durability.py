"""202 means durable: a trace of the process shows the sync of each record before its answer."""

import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.faults import launch, tracing
from tests.faults.running import CHAT, PRODUCT, Running, call, until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]


def accepted_under_trace(
    folder: Path, product: Sequence[str]
) -> tuple[list[tracing.Call], list[str]]:
    """Send one by one and eight at a time; return what was traced and the accepted ids."""
    trace = folder / "trace"
    running = Running(folder, command=tracing.command(trace, product)).start()
    accepted: list[str] = []
    try:
        token = running.token("bruno")

        def send(times: int) -> None:
            for _ in range(times):
                body = {"chat_id": CHAT, "content": "x"}
                status, answer = call("POST", f"{running.gateway}/v1/messages", body, token)
                assert status == 202, answer
                accepted.append(answer["message_id"])

        send(10)
        threads = [threading.Thread(target=send, args=(10,)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        until(lambda: len(running.history(token)) == len(accepted))
        tracer = tracing.tracer(running)
    finally:
        running.kill()
    until(lambda: not tracer.exists())
    return tracing.read(trace), accepted


def test_every_record_is_synced_before_its_202(tmp_path: Path) -> None:
    calls, accepted = accepted_under_trace(tmp_path, PRODUCT)
    assert len(set(accepted)) == 90
    tracing.check_durability(calls, accepted)


@pytest.mark.parametrize(
    ("mutant", "found"),
    [("unsynced", "before its record was on the disk"), ("early", "before its record was on")],
)
def test_a_product_that_does_not_sync_is_caught(tmp_path: Path, mutant: str, found: str) -> None:
    calls, accepted = accepted_under_trace(tmp_path, launch.command(mutant))
    with pytest.raises(AssertionError, match=found):
        tracing.check_durability(calls, accepted)
