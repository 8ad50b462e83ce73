"""Plays a scenario: a server, a driver of the client, and the judgement of both."""

import asyncio
import json
import traceback
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from tests.conformance.data import Json, Run, Scenario, readable, scenarios
from tests.conformance.expecting import Expecting
from tests.conformance.judging import judge_run, judge_server, overran
from tests.conformance.record import Record
from tests.conformance.server import ScriptedServer

ROOT = Path(__file__).parents[2]

SECONDS = 30.0
"""After which a scenario is ended in which nothing happens any more."""

LAST_SECONDS = 1.0
"""For what is on its way when the driver has ended."""

LINE_MOST = 16 * 1024 * 1024

STORY_LINES = 60
STORY_WIDTH = 300

Tell = Callable[[Json], None]
Go = Callable[[], Awaitable[None]]

Drive = Callable[[Json, Tell, Go], Awaitable[None]]
"""A driver in this process: gets the program, tells lines, and waits for `go`."""


class DriverFailed(Exception):
    """The driver did not do what drivers do."""


class Driver(Protocol):
    """Runs one program to its end."""

    async def run(self, program: Json, tell: Tell, go: Go) -> None: ...


@dataclass(frozen=True)
class FunctionDriver:
    """A driver in this process."""

    drive: Drive

    async def run(self, program: Json, tell: Tell, go: Go) -> None:
        try:
            await self.drive(program, tell, go)
        except Exception:
            raise DriverFailed(f"the driver raised:\n{traceback.format_exc()}") from None


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
    playing = Playing(scenario, FunctionDriver(driver) if callable(driver) else driver)
    if wrong := await playing.play(seconds):
        raise AssertionError(_story(scenario, wrong, playing.record))


class Playing:
    """One scenario that is played."""

    def __init__(self, scenario: Scenario, driver: Driver) -> None:
        self._scenario = scenario
        self._driver = driver
        self._server = ScriptedServer(scenario)
        self.record = self._server.record

    async def play(self, seconds: float) -> list[str]:
        """Return what is wrong. It ends at the first fault, and when nothing happens any more."""
        async with self._server.serving() as url:
            playing = asyncio.create_task(self._runs(url))
            watching = asyncio.create_task(self._faulty_or_idle(seconds))
            try:
                await asyncio.wait((playing, watching), return_when=asyncio.FIRST_COMPLETED)
            finally:
                playing.cancel()
                watching.cancel()
                await asyncio.gather(playing, watching, return_exceptions=True)
        if self.record.faults:
            return self.record.faults
        try:
            return playing.result() + judge_server(self._scenario, self.record)
        except DriverFailed as error:
            return [str(error)]

    async def _faulty_or_idle(self, seconds: float) -> None:
        """Return after a fault; that nothing has happened for so long is one."""
        record = self.record
        while not record.faults:
            try:
                async with asyncio.timeout(seconds):
                    await record.next()
            except TimeoutError:
                record.fault(f"nothing has happened for {seconds:g} s")

    async def _runs(self, url: str) -> list[str]:
        saved: Json = {}
        wrong: list[str] = []
        has_overrun = False
        for run in self._scenario.runs:
            lines: list[Json] = []
            expecting = Expecting(run.events or (), self.record)
            await self._run(run, url, saved, lines, expecting)
            wrong += judge_run(run, lines)
            has_overrun = overran(run, lines)
            wrong += [] if has_overrun else expecting.missing()
            if wrong:
                return wrong
            if found := [line for line in lines if line["type"] == "Saved"]:
                saved = {key: found[-1].get(key) for key in ("positions", "generation")}
        return [] if has_overrun else await _unfinished(self._server)

    async def _run(
        self, run: Run, url: str, saved: Json, lines: list[Json], expecting: Expecting
    ) -> None:
        record = self.record

        def tell(line: Json) -> None:
            lines.append(line)
            record.is_paused = record.is_paused or line.get("type") == "Paused"
            record.tell(f"printed: {json.dumps(line, ensure_ascii=False)}")
            if run.events is not None and (wrong := expecting.take(line)):
                record.fault(wrong)

        async def go() -> None:
            before = record.story.count("go")
            await record.until(lambda: record.story.count("go") > before)

        program: Json = {
            "auth": {"username": "ana", "password": "sesame"},
            "listen": True,
            "actions": [],
            **run.program,
            "url": url,
            "pace": self._scenario.pace,
        }
        if program.get("since") == "saved":
            program["since"] = saved
        await self._driver.run(program, tell, go)


async def _unfinished(server: ScriptedServer) -> list[str]:
    """Return what the scenario waited for in vain."""
    try:
        # The end of the last connection may be on its way.
        async with asyncio.timeout(LAST_SECONDS):
            await server.record.until(lambda: not server.unfinished())
    except TimeoutError:
        return [f"the scenario is not at its end: {left}" for left in server.unfinished()]
    return []


def _story(scenario: Scenario, wrong: Sequence[str], record: Record) -> str:
    told = "\n".join(f"  - {readable(one)}" for one in wrong)
    lines = (readable(line)[:STORY_WIDTH] for line in record.story[-STORY_LINES:])
    story = "\n".join(f"  {line}" for line in lines)
    return f"{scenario.name}: {scenario.about}\n{told}\nWhat happened:\n{story}"


async def found_out(
    driver: Driver | Drive, names: Sequence[str], seconds: float = SECONDS
) -> dict[str, str]:
    """Return what is wrong in those of these scenarios that a driver does not pass."""
    failed = {}
    for name in names:
        try:
            await play(scenarios()[name], driver, seconds)
        except AssertionError as error:
            failed[name] = str(error)
    return failed
