"""The image as one container with everything in it, run as the documentation says."""

import re
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pyvips

from chat4all.domain.files import PART_BYTES
from engines.packages import say
from tests.docs.blocks import blocks, commands, section
from tests.faults.running import call, until
from tests.faults.tus import MIB, PIECE, TusUpload, random_file
from tests.image.conftest import IMAGE, Machine
from tests.image.measuring import timed
from tests.image.people import GATEWAY, Person
from tests.image.uploads import FIRST, ROOM, SIZE, is_whole, received_bytes
from tests.pictures import png

pytestmark = [pytest.mark.slow, pytest.mark.image, pytest.mark.timeout(300)]

PAGE = Path("docs/operations/production.md")
CONTAINER, VOLUME = "chat4all", "chat4all"
STOP_SECONDS = 5


def ready() -> bool:
    try:
        return call("GET", f"{GATEWAY}/health/ready")[0] == 200
    except OSError:
        return False


@pytest.fixture(scope="module")
def recipe() -> dict[str, list[str]]:
    """Return the page's commands by the program and verb that they begin with."""
    found: dict[str, list[str]] = {}
    for command in commands(PAGE, "In one container"):
        program, verb, *arguments = command
        found[f"{program} {verb}"] = [verb, *arguments]
    return found


@pytest.fixture(scope="module")
def container(machine: Machine, recipe: dict[str, list[str]]) -> Iterator[Machine]:
    docker = machine.docker
    assert IMAGE in recipe["docker run"]
    try:
        with timed("one container, until it is ready"):
            docker.run(*recipe["docker run"])
            until(ready)
        yield machine
    finally:
        docker.run("rm", "--force", "--volumes", CONTAINER)
        docker.run("volume", "rm", VOLUME)


@dataclass
class Chat:
    """What two people have in the container: messages, a file and a picture that were sent."""

    ana: Person
    bruno: Person
    conversation: str
    file: TusUpload
    picture: str
    page: list[dict[str, Any]]
    """As it was when all of it had arrived."""

    def is_there(self) -> None:
        """Look from the other side."""
        until(lambda: self.ana.history(self.conversation) == self.page)
        is_whole(self.file, self.ana)
        status, media_type, _ = self.ana.get(f"{self.picture}/thumbnail?size=128")
        assert (status, media_type) == (200, "image/webp")


@pytest.fixture(scope="module")
def chat(container: Machine, tmp_path_factory: pytest.TempPathFactory) -> Chat:
    folder = tmp_path_factory.mktemp("files")
    ana, bruno = Person("ana"), Person("bruno")
    conversation = ana.conversation_with(bruno)
    file = bruno.begin(random_file(folder, SIZE))
    assert file.patch(GATEWAY, 0) == 204
    (folder / "praia.png").write_bytes(png(640, 400))
    picture = bruno.upload(folder / "praia.png")
    ids = [ana.send(conversation, str(number)) for number in range(20)]
    ids.append(bruno.send_file(conversation, "file", file.path))
    ids.append(bruno.send_file(conversation, "image", picture))

    def page() -> list[dict[str, Any]]:
        return ana.history(conversation) or []

    until(lambda: [message["message_id"] for message in page()] == ids)
    shown = page()[-1]["payload"]
    assert (shown["width"], shown["height"]) == (640, 400)
    say(f"one container: {container.docker.memory(CONTAINER)}")
    return Chat(ana, bruno, conversation, file, picture, page())


def test_health_user_and_folders_are_as_the_page_says(container: Machine, chat: Chat) -> None:
    docker = container.docker
    health = ("inspect", "--format", "{{.State.Health.Status}}", CONTAINER)
    until(lambda: docker.run(*health) == "healthy", 30)
    assert docker.run("exec", CONTAINER, "id", "-u") == "10001"
    data = "/var/lib/chat4all/data"
    modes = docker.run("exec", CONTAINER, "stat", "-c", "%a %u", data, f"{data}/files")
    assert modes.splitlines() == ["700 10001"] * 2
    others = ("find", data, "-not", "-user", "10001", "-or", "-perm", "/077")
    assert docker.run("exec", CONTAINER, *others) == ""
    assert docker.run("diff", CONTAINER) == ""  # all of it is in the volume
    chat.is_there()


def test_all_stays_when_the_container_is_made_anew_and_an_upload_goes_on(
    container: Machine, chat: Chat, recipe: dict[str, list[str]], tmp_path: Path
) -> None:
    docker = container.docker
    upload = chat.bruno.begin(random_file(tmp_path, SIZE, 1))
    assert upload.patch(GATEWAY, 0, FIRST) == 204
    before = time.monotonic()
    docker.run("stop", CONTAINER)  # SIGTERM; SIGKILL comes after the container's stop timeout
    assert time.monotonic() - before < STOP_SECONDS
    assert docker.run("inspect", "--format", "{{.State.ExitCode}}", CONTAINER) == "0"
    docker.run("rm", CONTAINER)
    docker.run(*recipe["docker run"])
    until(ready)
    chat.is_there()
    assert upload.head(GATEWAY) == FIRST
    assert upload.patch(GATEWAY, FIRST, 4 * MIB) == 204
    docker.run("kill", CONTAINER)
    docker.run("start", CONTAINER)
    until(ready)
    chat.is_there()
    assert upload.patch(GATEWAY, upload.head(GATEWAY)) == 204
    assert upload.sent == SIZE
    is_whole(upload, chat.bruno)


def test_a_picture_that_needs_more_than_the_container_has_ends_nobody_else(
    container: Machine, chat: Chat, tmp_path: Path
) -> None:
    """Less than the process may have that looks at it, and more than is left for all."""
    docker, killed = container.docker, killed_for_memory(container)
    started = ("inspect", "--format", "{{.State.StartedAt}}", CONTAINER)
    before = docker.run(*started)
    large = pyvips.Image.black(9_000, 9_000, bands=3).cast("ushort").copy(interpretation="rgb16")
    (picture := tmp_path / "large.png").write_bytes(large.write_to_buffer(".png", interlace=True))
    path = chat.bruno.upload(picture)
    assert killed_for_memory(container) == killed + 1
    assert chat.bruno.get(path)[2] == picture.read_bytes()
    assert chat.bruno.get(f"{path}/thumbnail?size=128")[0] == 404
    (small := tmp_path / "small.png").write_bytes(png(640, 400))
    assert chat.bruno.get(f"{chat.bruno.upload(small)}/thumbnail?size=128")[0] == 200
    assert docker.run(*started) == before


def killed_for_memory(machine: Machine) -> int:
    """Return how many processes the kernel has ended because of the container's limit."""
    files = "/sys/fs/cgroup/memory.events /sys/fs/cgroup/memory/memory.oom_control"
    script = f"cat {files} 2>/dev/null; true"
    told = machine.docker.run("exec", CONTAINER, "sh", "-c", script)
    (count,) = re.findall(r"^oom_kill (\d+)$", told, re.MULTILINE)
    return int(count)


def test_as_many_uploads_as_it_takes_fit_into_the_container(
    container: Machine, chat: Chat, tmp_path: Path
) -> None:
    """Each of them has sent a part but for its end; four people have a quarter of the room each."""
    started = ("inspect", "--format", "{{.State.StartedAt}}", CONTAINER)
    before, received = container.docker.run(*started), received_bytes()
    senders = [chat.ana, chat.bruno, Person("carla"), Person("davi")]
    file = random_file(tmp_path, PART_BYTES, 2)
    uploads = [sender.begin(file) for sender in senders for _ in range(ROOM // PART_BYTES // 4)]
    all_but_the_end, go_on = PART_BYTES - PIECE, threading.Event()

    def wait(sent: int) -> None:
        if sent == all_but_the_end:
            go_on.wait(60)

    with ThreadPoolExecutor(len(uploads)) as threads:
        try:
            ended = [threads.submit(one.patch, GATEWAY, 0, on_sent=wait) for one in uploads]
            until(lambda: received_bytes() - received == len(uploads) * all_but_the_end, 60)
            full = container.docker.memory(CONTAINER)
        finally:
            go_on.set()
        assert {one.result() for one in ended} == {204}
    say(f"one container that holds all uploads it takes: {full}")
    assert container.docker.run(*started) == before


def test_the_backup_of_the_page_is_whole_and_can_be_put_into_a_new_volume(
    container: Machine, chat: Chat, recipe: dict[str, list[str]], tmp_path: Path
) -> None:
    docker = container.docker
    told = docker.run(*recipe["docker exec"])
    assert "is a whole backup" in told
    copying, restoring = blocks(section(PAGE, "Backups of a container"), "sh")
    docker.shell(copying, tmp_path)
    docker.run("rm", "--force", CONTAINER)
    docker.run("volume", "rm", VOLUME)
    assert "is as it was at" in docker.shell(restoring, tmp_path)
    docker.run(*recipe["docker run"])
    until(ready)
    chat.is_there()
