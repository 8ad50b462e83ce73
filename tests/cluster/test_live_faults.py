"""Devices on two gateways while gateways and routers are killed: no hole, no double, one order."""

import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

import pytest

from tests.cluster.following import Device, Writer
from tests.cluster.services import Service, all_ready
from tests.cluster.site import Site, new_names
from tests.cluster.test_removals import remove
from tests.cluster.test_services import People
from tests.faults.running import call, until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.engines,
    pytest.mark.timeout(300, func_only=True),
]

REMOVED_SECONDS = 1.0
"""After a removal was answered, the member is told nothing that is sent later than this."""


def current(people: People, gateway: Service) -> str:
    """Return the position of the chat."""
    path = "/v1/conversations"
    status, listed = call("GET", gateway.url + path, token=next(iter(people.tokens.values())))
    assert status == 200
    return str(next(one["position"] for one in listed if one["conversation_id"] == people.chat))


@contextmanager
def following(
    people: People, names: Sequence[str], gateways: Sequence[Service]
) -> Iterator[list[Device]]:
    devices = [Device(people, name, gateways, seed) for seed, name in enumerate(names)]
    with ExitStack() as stack:
        for device in devices:
            device.start()
            stack.callback(device.end)
        yield devices


@contextmanager
def writing(
    people: People, names: Sequence[str], gateways: Sequence[Service]
) -> Iterator[list[Writer]]:
    writers = [
        Writer(people, name, gateways[number % len(gateways)], number)
        for number, name in enumerate(names)
    ]
    with ExitStack() as stack:
        for writer in writers:
            writer.start()
            stack.callback(writer.end)
        yield writers


def goes_on(writers: Sequence[Writer], times: int = 5) -> None:
    """Return once everybody has had so many more messages accepted."""
    wanted = [len(writer.sent) + times for writer in writers]
    until(lambda: all(len(w.sent) >= n for w, n in zip(writers, wanted, strict=True)), 60)


def check(people: People, devices: Sequence[Device], gateways: Sequence[Service]) -> None:
    """Every device has the history, whose messages are those that were accepted, once each."""
    owner = next(iter(people.tokens))
    until(lambda: len(people.history(owner, gateways[0])) >= people.accepted(), 60)
    for device in devices:
        device.stay()
        until(lambda: device.copy.position == current(people, gateways[0]), 60)  # noqa: B023
    history = people.history(owner, gateways[0])
    assert [one["seq"] for one in history] == [*range(1, people.accepted() + 1)]
    accepted = [name for sent in people.sent.values() for name in sent.acknowledged]
    assert sorted(one["message_id"] for one in history) == sorted(accepted)
    for message in history:
        del message["status"]
    for device in devices:
        device.copy.check(history)


@pytest.mark.alone
def test_every_device_has_everything_whatever_is_killed(site: Site) -> None:
    people = People(site.gateways, new_names(5))
    owner, *_, leaver = people.tokens
    readers = [*people.tokens]
    with following(people, readers, site.gateways) as devices:
        with writing(people, readers[:3], site.gateways) as writers:
            goes_on(writers)
            site.router.kill()
            site.router.start()
            goes_on(writers)
            site.gateways[1].kill()
            site.gateways[1].start()
            goes_on(writers)
            assert remove(people, leaver, site.gateways[0]) == 204
            removed_at = time.monotonic()
            until(lambda: any(began > removed_at + REMOVED_SECONDS for began, _ in writers[0].sent))
            goes_on(writers)
            added_at = time.monotonic()
            members = f"{site.gateways[0].url}/v1/conversations/{people.chat}/members"
            answer = call("POST", members, {"username": leaver}, people.tokens[owner])
            assert answer[0] == 201
            site.gateways[0].stop(signal.SIGTERM)
            site.gateways[0].start()
            site.router.stop(signal.SIGTERM)
            site.router.start()
            goes_on(writers)
        all_ready(site.services)
        assert min(writer.changes for writer in writers) > 0
        check(people, devices, site.gateways)
        assert min(device.copy.resumes for device in devices) > 1
    began = {message: at for writer in writers for at, message in writer.sent}
    history = people.history(owner, site.gateways[0])
    assert [
        seq
        for heard, seq in devices[-1].copy.heard
        if heard < added_at and began[history[seq - 1]["message_id"]] > removed_at + REMOVED_SECONDS
    ] == []


def test_a_gateway_that_replays_nothing_is_found_out(site: Site) -> None:
    """Mutant `attached_at_the_head`: resumes begin at the head, whatever the client has."""
    gateway = site.gateways[1]
    gateway.stop()
    gateway.faults = ("attached_at_the_head",)
    try:
        gateway.start()
        all_ready(site.services)
        people = People(site.gateways, new_names(2))
        with (
            following(people, [*people.tokens], [gateway]) as devices,
            writing(people, [*people.tokens], site.gateways),
        ):
            until(lambda: any("came after" in wrong for d in devices for wrong in d.copy.wrong), 60)
    finally:
        gateway.faults = ()
        gateway.stop()
        gateway.start()
