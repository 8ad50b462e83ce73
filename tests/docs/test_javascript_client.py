"""The programs in docs/clients/javascript.md, run as they are shown."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.api.tus import PNG
from tests.docs.blocks import blocks, section
from tests.faults.running import CHAT, Running, call, until
from tests.javascript.node import CLIENT, NODE

pytestmark = pytest.mark.slow

PAGE = Path("docs/clients/javascript.md")
EXAMPLE = "https://chat.example.com"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    found = Running(tmp_path_factory.mktemp("javascript")).start()
    yield found
    found.kill()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return the folder of a program that has the package."""
    modules = tmp_path / "node_modules"
    modules.mkdir()
    (modules / "chat4all-client").symlink_to(CLIENT)
    return tmp_path


def program(folder: Path, title: str, url: str) -> list[str]:
    """Return the command that runs what a section shows, against a server."""
    (block,) = blocks(section(PAGE, title), "js")
    assert EXAMPLE in block
    file = folder / "program.mjs"
    file.write_text(block.replace(EXAMPLE, url))
    return [NODE, str(file)]


@contextmanager
def started(command: list[str], folder: Path) -> Iterator[Path]:
    """Run a program for a while; yield the file that it prints to."""
    printed = folder / "printed"
    with printed.open("a") as output:
        process = subprocess.Popen(command, cwd=folder, stdout=output, stderr=output)
    try:
        yield printed
    finally:
        process.kill()
        process.wait(30)


def finished(command: list[str], folder: Path) -> list[str]:
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=40, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def send(running: Running, content: str) -> None:
    body = {"chat_id": CHAT, "content": content}
    assert call("POST", f"{running.gateway}/v1/messages", body, running.token("bruno"))[0] == 202


def said(running: Running) -> list[str]:
    return [one["content"] for one in running.history(running.token("bruno"))]


def test_the_bot_has_fifteen_lines() -> None:
    (bot,) = blocks(section(PAGE, "A bot"), "js")
    assert len(bot.splitlines()) <= 15


def test_the_bot_answers(running: Running, folder: Path) -> None:
    with started(program(folder, "A bot", running.gateway), folder):
        sent = 0

        def answered() -> bool:
            nonlocal sent
            send(running, f"hello {(sent := sent + 1)}")  # until it is there
            return any(one.startswith("You said: hello") for one in said(running))

        until(answered)


def test_a_program_goes_on_after_a_restart(running: Running, folder: Path) -> None:
    command = program(folder, "Going on after a restart", running.gateway)
    printed = folder / "printed"

    def has_printed(text: str) -> bool:
        return printed.exists() and text in printed.read_text()

    with started(command, folder):
        sent = 0

        def begun() -> bool:
            nonlocal sent
            send(running, f"before {(sent := sent + 1)}")
            return has_printed("before")

        until(begun)
        send(running, "taken")
        until(lambda: has_printed("taken"))
        until(lambda: has_kept(folder, running, "taken"))
    send(running, "while it was off")
    with started(command, folder):
        send(running, "after")
        until(lambda: has_printed("after"))
    numbers = [int(line.split()[0]) for line in printed.read_text().splitlines()]
    assert numbers == list(range(numbers[0], len(said(running)) + 1))


def has_kept(folder: Path, running: Running, content: str) -> bool:
    seq = said(running).index(content) + 1
    return f'"{CHAT}":"{seq}.' in (folder / "bot.json").read_text()


def test_a_page(running: Running, folder: Path) -> None:
    send(running, "for the page")
    lines = finished(program(folder, "A page", running.gateway), folder)
    assert lines[0].startswith("Demonstration ")
    assert lines[-1] in {"sent", "DELIVERED"}
    assert said(running)[-1] == "Olá"


def test_an_error(running: Running, folder: Path) -> None:
    (line,) = finished(program(folder, "Errors", running.gateway), folder)
    assert line == "422 /members"


def test_a_file(running: Running, folder: Path) -> None:
    (folder / "praia.png").write_bytes(PNG)
    lines = finished(program(folder, "Files", running.gateway), folder)
    assert lines == [f"{done} of {len(PNG)} bytes" for done in (0, len(PNG))]
    until(lambda: "from the beach" in said(running))
    last = running.history(running.token("bruno"))[-1]
    assert last["kind"] == "image"
    assert last["payload"]["alt"] == "Two people on a beach"
    assert (last["payload"]["name"], last["payload"]["size"]) == ("praia.png", len(PNG))


def test_a_download(running: Running, folder: Path) -> None:
    (folder / "praia.png").write_bytes(PNG)
    finished(program(folder, "Files", running.gateway), folder)
    until(lambda: running.history(running.token("bruno"))[-1]["kind"] == "image")
    file_id = running.history(running.token("bruno"))[-1]["payload"]["file_id"]
    saved = folder / "saved.png"
    command = [*program(folder, "Downloading files", running.gateway), file_id, str(saved)]
    for there in (None, PNG[:30], PNG):
        if there is not None:
            saved.write_bytes(there)
        finished(command, folder)
        assert saved.read_bytes() == PNG
