"""Two gateways that are restarted one after the other while hundreds are connected: no storm.

A thousand in `make endurance`. Those who are connected are told in waves, so that they come back in
waves, and what each of them costs the store is bounded.
"""

import signal
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest

from tests.checker import check_history
from tests.cluster.herd import Herd, a_herd
from tests.cluster.launch import TOLD
from tests.cluster.services import Service, all_ready
from tests.cluster.site import Site
from tests.faults.running import until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.engines,
    pytest.mark.timeout(400, func_only=True),
]

WAVE_SECONDS = 0.5
WAVE_SHARE = 0.5
"""At most this part of a gateway's sockets is told within that time."""

PAUSE = 2.0
"""Seconds between two messages of a group. The readers, who are one process, must keep up: for one
who does not, pages are read again."""

READS_MAX = 12
"""Reads of the store for each resume, twice what it takes on a busy machine: the head, a page,
another one for what was said meanwhile, what others have read, and oneself."""

READ, SOCKETS = "chat4all_store_read_seconds_count{", "chat4all_live_sockets "


def value(gateway: Service, name: str) -> int:
    """Return the sum of a metric's values."""
    lines = gateway.metrics().splitlines()
    return int(sum(float(line.split()[-1]) for line in lines if line.startswith(name)))


def largest_wave(told: Sequence[float]) -> float:
    """Return the largest part of the sockets that was told within `WAVE_SECONDS`."""
    return max(sum(at <= one <= at + WAVE_SECONDS for one in told) for at in told) / len(told)


def stopped(herd: Herd, gateway: Service) -> Sequence[float]:
    """Stop a gateway as an operator does; return when it told each socket, if that is written.

    The readers cannot tell: their process is busy, too, and sees many at once that were not.
    """
    closed, sockets = len(herd.closes()), value(gateway, SOCKETS)
    written = gateway.log.stat().st_size
    assert sockets > 0
    assert gateway.stop(signal.SIGTERM) == 0
    until(lambda: len(herd.closes()) >= closed + sockets)
    assert Counter(code for _, code in herd.closes()[closed:]) == {1012: sockets}
    lines = gateway.log.read_bytes()[written:].decode().splitlines()
    return [float(line.removeprefix(TOLD)) for line in lines if line.startswith(TOLD)]


def whole(herd: Herd, gateways: Sequence[Service]) -> None:
    """Everybody has every message that was accepted, once and in order."""
    herd.stop_writing()
    for group in herd.groups:
        sent = group.writer.sent
        until(lambda: len(group.history(gateways[0])) >= len(sent.acknowledged), 60)  # noqa: B023
        history = group.history(gateways[0])
        check_history(
            group.chat, {group.writer.sender: sent}, [history, group.history(gateways[1])]
        )
        for reader in group.readers:
            until(lambda: len(reader.copy.has) >= len(history), 60)  # noqa: B023
            reader.copy.check(history)


@pytest.mark.alone
@pytest.mark.parametrize("groups", [2, pytest.param(10, marks=pytest.mark.endurance)])
def test_a_rolling_restart_is_no_storm(site: Site, groups: int) -> None:
    ending = list[tuple[float, float]]()
    with (
        launched(site, site.gateways, "telling_is_written"),
        a_herd(site, groups=groups, people=100, pause=PAUSE) as herd,
    ):
        for gateway, other in (site.gateways, site.gateways[::-1]):
            herd.goes_on(2)
            before, resumes = value(other, READ), herd.resumes()
            began = time.monotonic()
            told = stopped(herd, gateway)
            ending.append((began, time.monotonic()))
            assert largest_wave(told) <= WAVE_SHARE
            gateway.start()
            all_ready(site.services)
            herd.all_current()
            reads = value(other, READ) - before + value(gateway, READ)
            assert reads <= READS_MAX * (herd.resumes() - resumes)
        herd.goes_on(2)
        whole(herd, site.gateways)
        assert [reader.refusals for reader in herd.readers if reader.refusals] == []
        # Only a gateway that is ending leaves whom it has just let in without an answer.
        unanswered = [asked for reader in herd.readers for asked in reader.unanswered]
        assert [
            (asked, ended)
            for asked, ended in unanswered
            if not any(asked <= end and begin <= ended for begin, end in ending)
        ] == []


@pytest.mark.alone
def test_a_gateway_that_tells_all_at_once_is_found_out(site: Site) -> None:
    """Mutant `told_at_once`: at a shutdown all sockets are closed in one wave."""
    gateway = site.gateways[1]
    with (
        launched(site, [gateway], "telling_is_written", "told_at_once"),
        a_herd(site, groups=1, people=100, gateways=[gateway]) as herd,
    ):
        assert largest_wave(stopped(herd, gateway)) > WAVE_SHARE


@pytest.mark.endurance
def test_a_gateway_that_reads_message_by_message_is_found_out(site: Site) -> None:
    """Mutant `read_one_by_one`: what a resume costs the store grows with what was missed."""
    gateway = site.gateways[1]
    with (
        launched(site, [gateway], "read_one_by_one"),
        a_herd(site, groups=1, people=100, gateways=[gateway], pause=0.05) as herd,
    ):
        herd.keep_away()
        stopped(herd, gateway)
        herd.goes_on(2 * READS_MAX)  # through the other gateway
        herd.stop_writing()
        gateway.start()
        all_ready(site.services)
        resumes = herd.resumes()
        herd.let_connect()
        herd.all_current()
        assert value(gateway, READ) > READS_MAX * (herd.resumes() - resumes)


@contextmanager
def launched(site: Site, gateways: Sequence[Service], *faults: str) -> Iterator[None]:
    """Let these gateways run with what `tests.cluster.launch` does to them."""
    try:
        for gateway in gateways:
            gateway.stop()
            gateway.faults = faults
            gateway.start()
        all_ready(site.services)
        yield
    finally:
        for gateway in gateways:
            gateway.faults = ()
            if gateway.process is not None:
                gateway.stop()
