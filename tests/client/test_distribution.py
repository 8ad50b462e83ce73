"""`chat4all-client`: what is in it, and that it works where nothing else is installed."""

import subprocess
import sys
import tomllib
import venv
from importlib.metadata import distributions
from pathlib import Path

import pytest

from chat4all.client import __all__ as public
from tests.faults.running import CHAT, Running
from tests.unit.test_house import MODULES, SOURCE, imports_of

ROOT = Path(__file__).parents[2]
CLIENT = ROOT / "clients" / "python"
HEAVY = {"chat4all.domain.passwords", "click", "fastapi", "pydantic", "rich", "sqlalchemy"}


def included() -> dict[str, str]:
    """Return what the wheel has, by its place in the checkout."""
    project = tomllib.loads((CLIENT / "pyproject.toml").read_text())
    found: dict[str, str] = project["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    return found


def needed() -> set[str]:
    """Return the modules that the client is made of, with the packages that they are in."""
    found, new = set[str](), {name for name in MODULES if name.startswith("chat4all.client")}
    while new:
        found |= new
        new = set().union(*(imports_of(MODULES[name]) for name in new)) - found
    return found | {name.rpartition(".")[0] for name in found - {"chat4all"}}


def test_the_wheel_has_what_the_client_imports_and_nothing_else() -> None:
    files = {str(MODULES[name].relative_to(SOURCE.parent)) for name in needed()}
    of_client = {name for name in files if name.startswith("chat4all/client/")}
    assert set(included().values()) == files - of_client | {"chat4all/client", "chat4all/py.typed"}
    assert {f"../../src/{name}" for name in included().values()} == set(included())


def test_its_dependencies_are_those_of_the_server() -> None:
    of_client, of_server = (
        set(tomllib.loads(file.read_text())["project"]["dependencies"])
        for file in (CLIENT / "pyproject.toml", ROOT / "pyproject.toml")
    )
    assert of_client < of_server


def test_what_is_public_is_there_and_sorted() -> None:
    assert public == sorted(public, key=lambda name: (name.islower(), name))


BOT = """
import asyncio, sys
from chat4all.client import Client, MessageCreated

async def main(url, chat):
    async with Client(url, "ana", "test") as ana, Client(url, "bruno", "test") as bruno:
        events = ana.events()
        async with asyncio.timeout(30):
            while type(await anext(events)).__name__ != "Connected":
                pass
            await bruno.send(chat, "from an empty environment: ñ")
            async for event in events:
                if isinstance(event, MessageCreated):
                    print(event.message.content)
                    break
        heavy = set(sys.argv[3:]) & set(sys.modules)
        assert not heavy, heavy

asyncio.run(main(*sys.argv[1:3]))
"""


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_it_works_in_an_empty_environment(tmp_path: Path) -> None:
    build: list[str | Path] = [
        sys.executable,
        "-m",
        "build",
        "--wheel",
        "--no-isolation",
        "-o",
        tmp_path,
        CLIENT,
    ]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    venv.create(tmp_path / "empty", with_pip=True)
    python = tmp_path / "empty" / "bin" / "python"
    pip: list[str | Path] = [python, "-m", "pip", "--disable-pip-version-check"]
    locked = tmp_path / "locked.txt"
    versions = {one.name: one.version for one in distributions()}
    locked.write_text("".join(f"{name}=={version}\n" for name, version in versions.items()))
    subprocess.run([*pip, "install", "-q", "-c", locked, wheel], check=True, timeout=120)
    listed = subprocess.run(
        [*pip, "list", "--format=freeze"], check=True, capture_output=True, text=True
    )
    names = {line.partition("==")[0] for line in listed.stdout.split()} - {"pip", "setuptools"}
    assert {"chat4all-client", "httpx2", "msgspec", "websockets"} <= names
    assert not names & {"chat4all", "fastapi", "pydantic", "sqlalchemy", "unicodedata2"}
    running = Running(tmp_path).start()
    try:
        said = subprocess.run(
            [python, "-I", "-c", BOT, running.gateway, CHAT, *HEAVY],
            check=False,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert said.stdout == "from an empty environment: ñ\n", said.stderr
    finally:
        running.kill()


def test_nothing_heavy_is_imported() -> None:
    assert not needed() & HEAVY
