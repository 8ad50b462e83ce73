"""How the benchmarks evaluate measurements, with made-up numbers."""

import importlib
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from bench import accept, browser, files, history, machine, page, people, router, running, start
from bench.figures import PERCENTILES, Figure, amount, medians, percentile
from bench.filling import CHATS, READ
from bench.machine import CpuTimes, cpu_times, filesystem, memory_of, others_share
from bench.quiet import Round, Rounds, quiet_rounds
from bench.running import BenchmarkFailed, FellBehind
from bench.suite import Part, Result, _measure
from bench.table import table
from chat4all.cli import main
from chat4all.commands import bench as command


def test_a_percentile_is_a_value_that_was_measured() -> None:
    values = [float(n) for n in range(1, 201)]
    assert percentile(values, 50) == 100
    assert percentile(values, 99) == 198
    assert percentile(values, 99.9) == 200
    assert percentile([7.0], 99) == 7


def test_medians_keep_the_shape_of_a_round() -> None:
    rounds = [{"a": {"rate": n}, "b": n * 10, "which": "x"} for n in (3, 100, 1)]
    assert medians(rounds) == {"a": {"rate": 3}, "b": 30}


def test_a_bar_is_compared_with_what_was_measured_not_with_what_is_shown() -> None:
    assert not Figure("k", "t", 1.1999, 1.2, True).met
    assert Figure("k", "t", 1.2, 1.2, True).met
    assert not Figure("k", "t", 90.01, 90, False).met
    assert Figure("k", "t", 90, 90, False).met


def test_amounts_as_people_write_them() -> None:
    assert amount(0.5, "x") == "0.50 x"
    assert amount(12345.6, "/s") == "12,346/s"
    assert amount(75.44, "MiB") == "75.4 MiB"
    assert amount(0.0004, "s") == "0.00 s"


def write_stat(proc: Path, process: int, parent: int, ticks: tuple[int, int, int, int]) -> None:
    (proc / str(process)).mkdir(exist_ok=True)
    fields = ["S", str(parent), *["0"] * 9, *map(str, ticks), "20"]
    (proc / str(process) / "stat").write_text(f"{process} (a ) name) {' '.join(fields)}\n")


def test_others_are_all_but_our_own_tree_and_stolen_time(tmp_path: Path) -> None:
    (tmp_path / "stat").write_text("cpu 100 0 100 1000 50 7 7 10 0 0\nintr 1\n")
    write_stat(tmp_path, 10, 1, (5, 5, 0, 0))
    write_stat(tmp_path, 11, 10, (10, 0, 0, 0))
    write_stat(tmp_path, 12, 1, (90, 0, 0, 0))
    before = cpu_times(tmp_path, root=10)
    assert before is not None
    assert before.own == 20
    # The child ended and was waited for; a grandchild of its time came and is there still.
    (tmp_path / "stat").write_text("cpu 160 0 120 1090 60 17 7 20 0 0\nintr 1\n")
    (tmp_path / "11" / "stat").unlink()
    write_stat(tmp_path, 10, 1, (10, 5, 20, 5))
    write_stat(tmp_path, 13, 10, (20, 0, 0, 0))
    after = cpu_times(tmp_path, root=10)
    assert after is not None
    assert after.own == 60
    # 80 used, 40 by us, 10 stolen, of 200.
    assert others_share(before, after) == pytest.approx(0.25)


def test_where_nobody_can_tell_the_share_is_unknown(tmp_path: Path) -> None:
    assert cpu_times(tmp_path) is None
    assert others_share(None, None) is None


def test_shared_memory_counts_once(tmp_path: Path) -> None:
    (tmp_path / "stat").write_text("")
    for process, parent, pss, rss in ((10, 1, 2048, 3072), (11, 10, 1024, 4096), (12, 1, 999, 999)):
        write_stat(tmp_path, process, parent, (0, 0, 0, 0))
        (tmp_path / str(process) / "smaps_rollup").write_text(
            f"0-f ---p 0 00:00 0 [rollup]\nRss: {rss} kB\nPss: {pss} kB\nPss_Dirty: 1 kB\n"
        )
    found = memory_of(10, tmp_path)
    assert found["pss_mib"] == 3
    assert found["processes"] == [
        {"pss_mib": 2, "rss_mib": 3},
        {"pss_mib": 1, "rss_mib": 4},
    ]


def test_the_file_system_is_that_of_the_nearest_mount(tmp_path: Path) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(f"a / ext4 rw 0 0\nb {tmp_path} xfs rw 0 0\nc {tmp_path} tmpfs rw 0 0\n")
    assert filesystem(tmp_path / "x", mounts) == "tmpfs"
    assert filesystem(Path("/"), mounts) == "ext4"
    assert "unknown" in filesystem(tmp_path, tmp_path / "none")


def clock(shares: list[float]) -> Callable[[], CpuTimes]:
    """Return a clock by which others use these shares, round by round."""

    def times() -> Iterator[CpuTimes]:
        total = used = 0
        for share in shares:
            yield CpuTimes(total, used, 0, 0)
            total, used = total + 1000, used + int(share * 1000)
            yield CpuTimes(total, used, 0, 0)

    return times().__next__


def rounds_of(shares: list[float], count: int) -> tuple[Rounds, list[str], list[int]]:
    said: list[str] = []
    settled: list[int] = []
    numbers = iter(range(1, 100))
    found = quiet_rounds(
        lambda: {"n": next(numbers)},
        count,
        said.append,
        clock=clock(shares),
        settle=lambda: settled.append(1),
    )
    return found, said, settled


def test_a_round_that_others_disturbed_is_repeated() -> None:
    found, said, settled = rounds_of([0.0, 0.06, 0.05, 0.01], 3)
    assert [one.values["n"] for one in found.kept] == [1, 3, 4]
    assert [one.values["n"] for one in found.repeated] == [2]
    assert found.remark is None
    assert len(said) == len(settled) == 1
    assert "6%" in said[0]


def test_repeating_ends_and_the_result_says_so() -> None:
    found, _, settled = rounds_of([0.5, 0.2, 0.9, 0.3], 2)
    # The least disturbed count, whatever they measured.
    assert [one.values["n"] for one in found.kept] == [2, 4]
    assert [one.values["n"] for one in found.repeated] == [1, 3]
    assert found.remark is not None
    assert "never quiet" in found.remark
    assert "30%" in found.remark
    assert found.as_json()["quiet"] is False
    assert len(settled) == 3

    some, _, _ = rounds_of([0.0, 0.2, 0.9, 0.3], 2)
    assert [one.values["n"] for one in some.kept] == [1, 2]
    assert some.remark is not None
    assert "too few quiet" in some.remark


def test_falling_behind_counts_in_a_quiet_round_only() -> None:
    def measure() -> Mapping[str, Any]:
        calls.append(1)
        if len(calls) == 1:
            raise FellBehind("only some were answered")
        return {"n": len(calls)}

    calls: list[int] = []
    found = quiet_rounds(measure, 1, lambda _: None, clock=clock([0.5, 0.0]), settle=lambda: None)
    assert [one.values for one in found.kept] == [{"n": 2}]
    calls.clear()
    with pytest.raises(FellBehind):
        quiet_rounds(measure, 1, lambda _: None, clock=clock([0.0]), settle=lambda: None)

    def always() -> Mapping[str, Any]:
        raise FellBehind("only some were answered")

    with pytest.raises(BenchmarkFailed, match="never quiet, and only some"):
        quiet_rounds(always, 1, lambda _: None, clock=clock([0.5, 0.5]), settle=lambda: None)


@pytest.mark.parametrize(
    ("result", "rate", "said"),
    [
        ({"ok": 99, "failed": 1}, None, "1 of 100 requests to it failed"),
        ({"ok": 0, "failed": 0}, None, "it answered no request"),
        ({"ok": 900, "failed": 0}, 1000, "it answered only 900 of 1000"),
    ],
)
def test_a_failed_request_is_never_throughput(
    monkeypatch: pytest.MonkeyPatch, result: dict[str, Any], rate: float | None, said: str
) -> None:
    answer = {**result, "seconds": 1.0, "latencies_ms": [1.0] * result["ok"]}
    monkeypatch.setattr(running, "call", lambda *_, **__: answer)
    with pytest.raises(BenchmarkFailed, match=said):
        running.generate("it", 1, [], connections=32, seconds=1.0, rate=rate)


def test_a_part_without_a_figure_is_a_sentence(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def measure(*_: object, **__: object) -> Rounds:
        raise BenchmarkFailed("3 of 9 requests failed")

    monkeypatch.setattr(start, "measure", measure)
    said: list[str] = []
    part = _measure("start", tmp_path, command._module("suite").QUICK, said.append)
    assert (part.error, part.figures) == ("3 of 9 requests failed", ())
    assert said == ["no figure: 3 of 9 requests failed"]


def test_the_lag_is_counted_from_the_last_accept() -> None:
    lag = accept.Lag()
    for now, end, stored in ((0, 0, 0), (1, 100, 40), (2, 200, 50), (2.5, 200, 120), (3, 200, 200)):
        lag.note(now, end, stored)
    lag.note(9, 200, 200)
    assert (lag.largest, lag.at_end, lag.level_after) == (150, 150, 1)
    lag.note(10, 201, 200)
    assert lag.level_after is None


def test_pages_are_asked_for_where_they_are_full() -> None:
    newest = dict(zip(READ, (170, 51, 49), strict=True))
    requests = history.page_requests(["t"], newest)
    assert {request.split("/")[3] for request in requests} == set(READ[:2])
    places = [int(r.split("before=")[1].split()[0]) for r in requests if "before=" in r]
    assert len(places) == len(requests) // 2
    # Below `before` there are at least 50.
    assert min(places) >= 51
    assert max(places) <= 171


def load(rate: float) -> dict[str, float]:
    return {"rate": rate, **{f"p{p:g}": 1000 / rate * (1 + n) for n, p in enumerate(PERCENTILES)}}


def made_up(*, others: float = 0.01, quick: bool = False, error: str | None = None) -> Result:
    """A whole result, as if it had been measured."""
    lag = {"largest_lag": 120, "lag_at_end": 60, "level_after_seconds": 0.04}
    measured: dict[str, tuple[Any, Mapping[str, Any]]] = {
        "accept": (
            accept,
            {
                "floor": load(3000),
                "product": load(3900),
                "static": load(40_000),
                "floor_at_half": load(1950),
                "product_at_half": load(900),
                "router": lag,
            },
        ),
        "router": (
            router,
            {
                "router": {"rows_per_second": 60_000, "messages_per_second": 20_000},
                "bare": {"rows_per_second": 140_000, "messages_per_second": 50_000},
            },
        ),
        "history": (
            history,
            {
                "floor": load(2000),
                "small": load(5600),
                "large": load(5100),
                "static": load(30_000),
                "messages": {"small": 1000, "large": 1_000_000},
            },
        ),
        "people": (
            people,
            {
                "check_us": 0.8,
                "accept": {"processor_us": 100.0},
                "list": load(60),
                "list_floor": load(100),
                "quiet": load(3000),
                "flooded": load(2900),
            },
        ),
        "files": (
            files,
            {
                "copy": {"rate": 300e6},
                "upload": {"rate": 270e6},
                "accepts": load(500),
                "accepts_beside_uploads": load(500),
                "uploads": {"rate": 150e6},
            },
        ),
        "page": (
            page,
            {
                "messages": 10_000,
                "conversations": 300,
                "open_ms": 240.0,
                "open_floor_ms": 30.0,
                "scrolled": {"messages": 200, "jump_px": 0.4},
                "heap_mb": {"full": 4.0, "first": 4.4},
                "switch": load(60),
                "switch_floor": load(100),
            },
        ),
        "start": (
            start,
            {
                which: {
                    "healthy_seconds": seconds,
                    "memory": {"pss_mib": 70.5, "processes": [{"pss_mib": 70.5, "rss_mib": 80}]},
                }
                for which, seconds in (("first", 1.4), ("later", 0.8))
            },
        ),
    }
    parts = {}
    for name, (part, values) in measured.items():
        rounds = Rounds([Round(n, values, others) for n in range(1, 6)])
        parts[name] = Part(rounds, part.figures(rounds))
    if error:
        parts["router"] = Part(None, (), error)
    box = {
        "cpu": "A processor of some maker, model 4711 at 3.2 GHz",
        "cores": 2,
        "kernel": "Linux 6.1",
        "python": "3.11.7",
        "sqlite": "3.40.1",
        "filesystem": "ext4",
        "fdatasync_ms": {"p50": 0.4, "p99": 1.2},
    }
    return Result("1.2.3", "2026-01-31T12:00:00+00:00", quick, box, parts)


def test_the_table_says_what_is_met_and_what_is_not() -> None:
    said = table(made_up(others=0.4, quick=True)).splitlines()
    (accepts,) = [row for row in said if row.startswith("Durable accepts")]
    assert accepts.split()[4:] == [">=", "1.20", "x", "1.30", "x", "met", "3,900/s", "3,000/s"]
    (rows,) = [row for row in said if row.startswith("Router, to bare")]
    assert "0.43 x  MISSED" in rows
    whole = "\n".join(said)
    for part in ("ext4, fdatasync 0.40 ms", "quick run", "never quiet", "at most 120 messages"):
        assert part in whole
    assert "router: no figure: it broke" in table(made_up(error="it broke"))


def test_what_the_page_may_never_do_is_judged_by_the_worst_round() -> None:
    values = made_up().parts["page"].rounds
    assert values is not None
    usual = values.kept[0].values
    once = {**usual, "open_ms": 5_000.0, "scrolled": {"messages": 250, "jump_px": 3.0}}
    figures = page.figures(Rounds([Round(1, once, 0), *values.kept[1:]]))
    found = {figure.key: figure.value for figure in figures}
    assert (found["page_messages"], found["page_jump_px"]) == (250, 3.0)
    assert (found["page_open_ms"], found["page_open_to_floor"]) == (240.0, 8.0)
    assert {f.key for f in figures if not f.met} == {"page_messages", "page_jump_px"}


def test_a_browser_that_is_missing_is_said_in_a_sentence(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def error() -> str:
        return str(_measure("page", tmp_path, command._module("suite").QUICK, lambda _: None).error)

    monkeypatch.setattr(browser, "NAMES", ())
    assert error().startswith("there is no Chromium or Chrome: install")
    monkeypatch.setitem(sys.modules, "playwright.sync_api", None)
    assert error().endswith("pip install playwright")
    assert not any(tmp_path.iterdir())


def test_messages_of_the_page_end_with_the_reader_and_the_numbered_text() -> None:
    records = [record for record, _ in page.said([page.LONG] * 7 + [*CHATS[:2]] * 3)]
    last = {record.conversation_id: record for record in records}
    assert {record.sender_id for record in last.values()} == {page.READER}
    assert {record.sender_id for record in records} == {page.READER, page.WRITER}
    assert [record.content for record in records] == [page.text(n) for n in range(1, 14)]


def test_the_result_for_machines_has_all_of_it() -> None:
    found = json.loads(json.dumps(made_up().as_json()))
    assert found["machine"]["fdatasync_ms"] == {"p50": 0.4, "p99": 1.2}
    part = found["parts"]["accept"]
    assert len(part["rounds"]) == 5
    assert part["rounds"][0]["others_cpu"] == 0.01
    assert part["medians"]["product"]["rate"] == 3900
    (first, *_) = part["figures"]
    assert (first["key"], first["value"], first["bar"], first["met"]) == (
        "accepts_to_floor",
        1.3,
        1.2,
        True,
    )
    assert found["met"] is False


@pytest.mark.slow
@pytest.mark.parametrize(
    "result", [made_up(), made_up(others=0.5, quick=True, error="it broke")], ids=["good", "bad"]
)
def test_the_picture_is_a_png(result: Result, tmp_path: Path) -> None:
    file = tmp_path / "figures.png"
    # Loads matplotlib, which takes a second of each process that collects tests.
    importlib.import_module("bench.picture").draw(result, file)
    assert file.read_bytes().startswith(b"\x89PNG\r\n")
    assert file.stat().st_size > 20_000


class Suite:
    """Stands for the suite where only the command is tested."""

    def __init__(self, result: Result) -> None:
        self._suite = command._module("suite")
        self._result = result
        self.asked: dict[str, Any] = {}

    def __call__(self, name: str) -> Any:
        return self if name == "suite" else __import__(f"bench.{name}", fromlist=[name])

    @property
    def QUICK(self) -> Any:  # noqa: N802 - the suite's own name
        return self._suite.QUICK

    @property
    def FULL(self) -> Any:  # noqa: N802
        return self._suite.FULL

    def run(self, _: str, parts: Any, effort: Any, __: Any, **more: Any) -> Result:
        self.asked = {"parts": parts, "effort": effort, **more}
        return self._result


def invoke(monkeypatch: pytest.MonkeyPatch, suite: Suite, *arguments: str) -> Any:
    monkeypatch.setattr(command, "_module", suite)
    return CliRunner().invoke(main, ["bench", *arguments])


@pytest.mark.slow
def test_the_command_writes_what_it_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    suite = Suite(made_up())
    files = ["--json", str(tmp_path / "a.json"), "--png", str(tmp_path / "a.png")]
    done = invoke(monkeypatch, suite, "--only", "start, accept", "--rounds", "3", *files)
    assert done.exit_code == 0, done.output
    assert suite.asked["parts"] == ("accept", "start")
    assert suite.asked["effort"].rounds == 3
    assert json.loads((tmp_path / "a.json").read_text())["chat4all"] == "1.2.3"
    assert (tmp_path / "a.png").exists()
    assert "MISSED" in done.output


def test_the_command_knows_the_parts_of_the_suite() -> None:
    assert command._module("suite").PARTS == command.PARTS


def test_what_needs_a_browser_is_measured_only_when_it_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(command, "_draw", lambda *_: None)
    suite = Suite(made_up())
    invoke(monkeypatch, suite)
    assert suite.asked["parts"] == (
        "accept",
        "router",
        "history",
        "people",
        "live",
        "files",
        "start",
    )
    invoke(monkeypatch, suite, "--only", "page")
    assert suite.asked["parts"] == ("page",)


def test_exit_statuses(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    # Drawing has its own test.
    monkeypatch.setattr(command, "_draw", lambda *_: None)
    assert invoke(monkeypatch, Suite(made_up())).exit_code == 0
    assert invoke(monkeypatch, Suite(made_up()), "--check").exit_code == 1
    assert invoke(monkeypatch, Suite(made_up(error="it broke"))).exit_code == 1
    assert invoke(monkeypatch, Suite(made_up()), "--only", "rooter").exit_code == 2


def test_without_matplotlib_a_sentence_names_the_extra(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(command, "find_spec", lambda name: None)
    done = invoke(monkeypatch, Suite(made_up()), "--png", str(tmp_path / "a.png"))
    assert done.exit_code == 0
    assert "chat4all[bench]" in done.stderr
    assert not (tmp_path / "a.png").exists()


def test_the_machine_is_described(tmp_path: Path) -> None:
    found = machine.describe(tmp_path)
    assert found["fdatasync_ms"]["p50"] <= found["fdatasync_ms"]["p99"]
    assert found["python"] in machine.line(found)
