"""Plays a scenario: a server, a driver of the client, and the judgement of both."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from tests.conformance.data import Json, Run, Scenario, readable, scenarios
from tests.conformance.judging import judge_run, judge_server, overran
from tests.conformance.record import Record
from tests.conformance.server import ScriptedServer

ROOT = Path(__file__).parents[2]

SECONDS = 30.0
"""For a scenario: with the pace that it has, a right client takes less than one."""

LAST_SECONDS = 1.0
"""For what is on its way when the driver has ended."""

LINE_MOST = 16 * 1024 * 1024

STORY_LINES = 60

Tell = Callable[[Json], None]
Go = Callable[[], Awaitable[None]]

Drive = Callable[[Json, Tell, Go], Awaitable[None]]
"""A driver in this process: gets the program, tells lines, and waits for `go`."""


class Driver(Protocol):
    """Runs one program to its end."""

    async def run(self, program: Json, tell: Tell, go: Go) -> None: ...


@dataclass(frozen=True)
class FunctionDriver:
    """A driver in this process."""

    drive: Drive

    async def run(self, program: Json, tell: Tell, go: Go) -> None:
        await self.drive(program, tell, go)


class DriverFailed(Exception):
    """The driver did not do what drivers do."""


@dataclass(frozen=True)
class CommandDriver:
    """A driver that is a command."""

    argv: Sequence[str]
    cwd: Path = ROOT
    environment: dict[str, str] | None = field(default=None, repr=False)

    async def run(self, program: Json, tell: Tell, go: Go) -> None:
        """Start it, and return when it has ended."""
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            *self.argv,
            stdin=pipe,
            stdout=pipe,
            stderr=pipe,
            cwd=self.cwd,
            env=self.environment,
            limit=LINE_MOST,
        )
        assert process.stdin
        assert process.stdout
        assert process.stderr
        errors = asyncio.create_task(process.stderr.read())
        going = asyncio.create_task(_pass_on(go, process.stdin))
        try:
            process.stdin.write(json.dumps(program).encode() + b"\n")
            async for line in process.stdout:
                try:
                    tell(json.loads(line))
                except ValueError:
                    raise DriverFailed(f"the driver printed what is no JSON: {line!r}") from None
            status = await process.wait()
            if status != 0:
                said = (await errors).decode(errors="replace")
                raise DriverFailed(f"the driver ended with the status {status}:\n{said}")
        finally:
            going.cancel()
            if process.returncode is None:
                process.kill()
                await process.wait()
            await errors
            process.stdin.close()


async def _pass_on(go: Go, stdin: asyncio.StreamWriter) -> None:
    while True:
        await go()
        stdin.write(b"go\n")


async def play(scenario: Scenario, driver: Driver | Drive, seconds: float = SECONDS) -> None:
    """Play a scenario. Raises AssertionError, with the story, for what is wrong."""
    if callable(driver):
        driver = FunctionDriver(driver)
    server = ScriptedServer(scenario)
    record = server.record
    lines: list[list[Json]] = []
    wrong: list[str] = []
    try:
        async with asyncio.timeout(seconds), server.serving() as url:
            saved: Json = {}
            for run in scenario.runs:
                lines.append([])
                await _run(run, url, saved, driver, lines[-1], record, scenario.pace)
                if record.faults:
                    break
                if found := [line for line in lines[-1] if line["type"] == "Saved"]:
                    saved = {key: found[-1].get(key) for key in ("positions", "generation")}
            if not record.faults and not overran(scenario.runs[-1], lines[-1]):
                wrong += await _unfinished(server)
    except TimeoutError:
        wrong.append(f"did not end within {seconds:g} s")
    except DriverFailed as error:
        wrong.append(str(error))
    wrong += record.faults
    for run, printed in zip(scenario.runs, lines, strict=False):
        wrong += judge_run(run, printed, record)
    wrong += judge_server(scenario, record)
    if wrong:
        raise AssertionError(_story(scenario, wrong, lines, record))


async def _run(
    run: Run, url: str, saved: Json, driver: Driver, lines: list[Json], record: Record, pace: float
) -> None:
    """Run the program once; it is ended as soon as the server finds a fault."""

    def tell(line: Json) -> None:
        lines.append(line)
        record.is_paused = record.is_paused or line.get("type") == "Paused"
        record.tell(f"printed: {readable(json.dumps(line, ensure_ascii=False))[:300]}")

    async def go() -> None:
        before = record.story.count("go")
        await record.until(lambda: record.story.count("go") > before)

    program: Json = {
        "auth": {"username": "ana", "password": "sesame"},
        "listen": True,
        "actions": [],
        **run.program,
        "url": url,
        "pace": pace,
    }
    if program.get("since") == "saved":
        program["since"] = saved
    running = asyncio.ensure_future(driver.run(program, tell, go))
    faulty = asyncio.create_task(record.until(lambda: bool(record.faults)))
    try:
        await asyncio.wait((running, faulty), return_when=asyncio.FIRST_COMPLETED)
        if running.done():
            await running
    finally:
        for task in (running, faulty):
            task.cancel()
        await asyncio.gather(running, faulty, return_exceptions=True)


async def _unfinished(server: ScriptedServer) -> list[str]:
    """Return what the scenario waited for in vain."""
    try:
        # The end of the last connection may be on its way.
        async with asyncio.timeout(LAST_SECONDS):
            await server.record.until(lambda: not server.unfinished())
    except TimeoutError:
        return [f"the scenario is not at its end: {left}" for left in server.unfinished()]
    return []


def _story(
    scenario: Scenario, wrong: Sequence[str], lines: Sequence[Sequence[Json]], record: Record
) -> str:
    told = "\n".join(f"  - {readable(one)}" for one in wrong)
    story = "\n".join(f"  {line}" for line in record.story[-STORY_LINES:])
    return f"{scenario.name}: {scenario.about}\n{told}\nWhat happened:\n{story}"


async def found_out(driver: Driver | Drive, names: Sequence[str] | None = None) -> list[str]:
    """Return the names of the scenarios, of all or of these, that a driver does not pass."""
    failed = []
    for name, scenario in scenarios().items():
        if names is None or name in names:
            try:
                await play(scenario, driver)
            except AssertionError:
                failed.append(name)
    return failed
