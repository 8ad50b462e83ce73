"""Files through the published gateway: up, down, in small, and with the store away."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import pyvips

from engines.packages import say
from tests.faults.running import until
from tests.faults.tus import LOST_MAX, MIB, random_file
from tests.image.cluster.containers import (
    FOUND_AGAIN_SECONDS,
    moved,
    say_memory,
    starts,
    unhealthy,
)
from tests.image.conftest import Machine
from tests.image.measuring import timed
from tests.image.people import GATEWAY, Person
from tests.image.uploads import (
    FIRST,
    ROOM,
    SIZE,
    finish,
    is_whole,
    received_bytes,
    sent,
)
from tests.pictures import png

pytestmark = [pytest.mark.slow, pytest.mark.image, pytest.mark.timeout(900)]

GATEWAYS = "frontend_service"


def test_a_file_goes_up_and_comes_down_at_the_other_member_s(
    cluster: Machine, people: tuple[Person, Person], tmp_path: Path
) -> None:
    ana, bruno = people
    upload = bruno.begin(random_file(tmp_path, SIZE))
    assert upload.patch(GATEWAY, 0, FIRST) == 204
    assert upload.head(GATEWAY) == FIRST
    assert upload.patch(GATEWAY, FIRST) == 204
    assert ana.get(upload.path)[0] == 404
    payload = sent(bruno, bruno.conversation_with(ana), "file", upload.path, ana)
    assert payload["size"] == SIZE
    is_whole(upload, ana)
    say_memory(cluster)


@pytest.mark.usefixtures("cluster")
def test_a_picture_is_shown_in_small(people: tuple[Person, Person], tmp_path: Path) -> None:
    ana, bruno = people
    (picture := tmp_path / "praia.png").write_bytes(png(640, 400))
    path = bruno.upload(picture)
    payload = sent(bruno, bruno.conversation_with(ana), "image", path, ana)
    assert (payload["type"], payload["width"], payload["height"]) == ("image/png", 640, 400)
    assert payload["blurhash"]
    for _ in ("made", "kept"):
        status, media_type, small = ana.get(f"{path}/thumbnail?size=128")
        assert (status, media_type) == (200, "image/webp")
        shown = pyvips.Image.new_from_buffer(small, "")
        assert (shown.width, shown.height) == (128, 80)


def test_what_looks_at_pictures_is_limited_as_the_container_s_user(cluster: Machine) -> None:
    program = (
        "import os, resource\n"
        "from chat4all.adapters.pictures import child\n"
        "child.limit_process()\n"
        "print(os.getuid(), open('/proc/self/oom_score_adj').read().strip(),\n"
        "    resource.getrlimit(resource.RLIMIT_AS)[1] == child.MEMORY_MAX)"
    )
    told = cluster.docker.compose("exec", "-T", GATEWAYS, "python", "-c", program)
    assert told == "10001 1000 True"


def test_files_are_in_the_volumes_and_nowhere_else(
    cluster: Machine, people: tuple[Person, Person], tmp_path: Path
) -> None:
    upload = people[0].begin(random_file(tmp_path, SIZE, 7))
    assert upload.patch(GATEWAY, 0) == 204
    listed = ("sh", "-c", "find /data -type f -size +20480k | wc -l; ls /metadata")
    count, *buckets = cluster.docker.compose("exec", "-T", "s3", *listed).split()
    assert int(count) >= 1
    assert buckets == ["chat4all-files"]
    # Services of ours have a read-only root.
    changed = cluster.docker.run("diff", cluster.docker.compose("ps", "--quiet", "s3"))
    assert set(changed.splitlines()) == {"A /data", "A /metadata"}  # where the volumes are


def test_an_upload_goes_on_when_the_store_is_restarted(
    cluster: Machine, people: tuple[Person, Person], tmp_path: Path
) -> None:
    ana, bruno = people
    upload, before = bruno.begin(random_file(tmp_path, SIZE, 3)), starts(cluster, "s3")
    assert upload.patch(GATEWAY, 0, FIRST) == 204
    restart = once_beyond(FIRST + 10 * MIB, lambda: cluster.docker.compose("restart", "s3"))
    upload.patch(GATEWAY, FIRST, on_sent=restart)
    assert starts(cluster, "s3") != before
    with timed("until an upload is whole after a restart of s3"):
        finish(upload)
    assert upload.sent <= SIZE + LOST_MAX
    sent(bruno, bruno.conversation_with(ana), "file", upload.path, ana)
    is_whole(upload, ana)
    until(lambda: not unhealthy(cluster), FOUND_AGAIN_SECONDS)


def once_beyond(offset: int, act: Callable[[], object]) -> Callable[[int], None]:
    """Return what does it when so much has been sent, and not again."""
    done: list[object] = []

    def on_sent(sent: int) -> None:
        if sent >= offset and not done:
            done.append(act())

    return on_sent


def test_the_store_is_found_again_at_another_address(
    cluster: Machine, people: tuple[Person, Person], tmp_path: Path
) -> None:
    _, bruno = people
    before = starts(cluster, GATEWAYS)
    whole = bruno.begin(random_file(tmp_path, SIZE, 4))
    assert whole.patch(GATEWAY, 0) == 204
    half = bruno.begin(random_file(tmp_path, SIZE, 5))
    assert half.patch(GATEWAY, 0, FIRST) == 204
    with moved(cluster, "s3"):
        with timed("until a file is read again"):
            until(lambda: bruno.get(whole.path)[0] == 200, FOUND_AGAIN_SECONDS)
        is_whole(whole, bruno)
        finish(half)
        is_whole(half, bruno)
        until(lambda: not unhealthy(cluster), FOUND_AGAIN_SECONDS)
    assert starts(cluster, GATEWAYS) == before


def test_as_many_uploads_as_it_takes_fit_into_the_container_while_the_store_stands_still(
    cluster: Machine, people: tuple[Person, Person], tmp_path: Path
) -> None:
    """Four people have a quarter of the room each. Fails with `mem_limit: 512m`."""
    senders = [Person(f"{name}-{people[0].name}") for name in ("carla", "davi", "elisa", "fabio")]
    file = random_file(tmp_path, 24 * MIB, 6)
    uploads = [(sender, sender.begin(file)) for sender in senders for _ in range(3)]
    before, received = starts(cluster, GATEWAYS), received_bytes()
    container = cluster.docker.compose("ps", "--quiet", GATEWAYS)
    empty = cluster.docker.memory(container)
    cluster.docker.compose("pause", "s3")
    with ThreadPoolExecutor(len(uploads)) as threads:
        try:
            statuses = [threads.submit(upload.patch, GATEWAY, 0) for _, upload in uploads]
            until(lambda: received_bytes() - received >= ROOM, FOUND_AGAIN_SECONDS)
            full = cluster.docker.memory(container)
        finally:
            cluster.docker.compose("unpause", "s3")
        assert {status.result() for status in statuses} <= {204, 503}
    say(f"gateway that holds all uploads it takes: {full}; before: {empty}")
    for sender, upload in uploads:
        finish(upload)
        is_whole(upload, sender)
    assert starts(cluster, GATEWAYS) == before
