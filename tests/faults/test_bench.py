"""`chat4all bench` as a command, with small numbers."""

import json
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from bench import accept, history, list_floor, live_slow, page, people, quiet
from bench.filling import fill_directory
from bench.live_people import GROUP, GROUPED, NAMES, chat
from bench.running import HEALTH, free_ports, generate, process, product
from tests.faults.running import call, environment

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

# Rounds are not repeated because of the tests beside; tests/unit/test_bench.py has that.
WHATEVER_OTHERS_DO = """
from chat4all.cli import main
from chat4all.commands.bench import _module
_module("quiet").OTHERS_MAX = 1.0
main()
"""


@pytest.fixture(autouse=True)
def _whatever_others_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quiet, "OTHERS_MAX", 1.0)


def test_a_quick_run_measures_and_writes(tmp_path: Path) -> None:
    done = subprocess.run(
        [
            *(sys.executable, "-c", WHATEVER_OTHERS_DO),
            *("bench", "--quick", "--only", "router,start"),
            *("--rounds", "1", "--json", "a.json", "--png", "a.png", "--folder", str(tmp_path)),
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=150,
        check=True,
        env=environment(),
    )
    assert "Start to healthy" in done.stdout
    assert "start: first start healthy" in done.stderr
    found = json.loads((tmp_path / "a.json").read_text())
    (first,) = found["parts"]["start"]["rounds"]
    assert first["first"]["healthy_seconds"] > 0
    assert first["first"]["memory"]["pss_mib"] > 10
    assert found["parts"]["router"]["figures"][0]["value"] > 0
    # Nothing is left behind but what was asked for.
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.json", "a.png"]


def test_accepts_are_measured_with_the_router_level_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def without_a_rate(*given: Any, rate: float | None, **more: Any) -> dict[str, float]:
        # A busy machine may not hold one, which is no error of what is tested here.
        return generate(*given, **more)

    monkeypatch.setattr(accept, "generate", without_a_rate)
    found = accept.measure(tmp_path, 1, 0.5, lambda _: None)
    middle = found.medians
    assert middle["product"]["rate"] > 0
    assert middle["router"]["largest_lag"] >= 0
    assert middle["router"]["level_after_seconds"] >= 0
    assert {figure.key for figure in accept.figures(found)} >= {"accepts_to_floor"}


@pytest.mark.endurance
def test_the_history_is_measured_on_two_stores(tmp_path: Path) -> None:
    found = history.measure(tmp_path, 1, 0.5, lambda _: None, large=3_000)
    assert found.medians["small"]["rate"] > 0
    assert found.medians["large"]["rate"] > 0
    assert len(history.figures(found)) == 3


@pytest.mark.endurance
def test_what_people_cost_is_measured_on_the_same_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def without_a_rate(*given: Any, rate: float | None = None, **more: Any) -> dict[str, float]:
        return generate(*given, **more)

    monkeypatch.setattr(people, "generate", without_a_rate)
    monkeypatch.setattr(people, "CHECKS", 2_000)
    found = people.measure(tmp_path, 1, 0.5, lambda _: None)
    assert found.medians["check_us"] > 0
    assert found.medians["accept"]["processor_us"] > 0
    assert found.medians["sign_ins"]["rate"] > 0
    assert len(people.figures(found)) == 3

    data = tmp_path / "people"
    port, other = free_ports(2)
    with process(product(data, port, other), port, *HEALTH):
        form = {"username": list_floor.WHO, "password": people.PASSWORD}
        _, granted = call("POST", f"http://127.0.0.1:{port}/token", form=form)
        url = f"http://127.0.0.1:{port}/v1/conversations?limit=50"
        status, listed = call("GET", url, token=granted["access_token"])
    assert status == 200
    with (
        closing(sqlite3.connect(data / "store.db")) as store,
        closing(sqlite3.connect(data / "metadata.db")) as metadata,
    ):
        plain = list_floor.rows(store, metadata)
    for kind in ("conversations", "messages"):
        assert {row[0] for row in plain[kind]} == {one["conversation_id"] for one in listed}


def test_the_others_are_measured_while_readers_stop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_slow, "REPEATS", 1)
    data, (port, other) = tmp_path / "live", free_ports(2)
    command = product(data, port, other, "--no-demo")
    with process(command, port, *HEALTH):
        pass
    tokens = fill_directory(data, NAMES[:GROUP], {chat(GROUPED): NAMES[:GROUP]})
    with process(command, port, *HEALTH):
        found = quiet.quiet_rounds(
            lambda: {"slow": live_slow.slow_readers(port, tokens, 1.0, lambda _: None)},
            1,
            lambda _: None,
            settle=lambda: None,
        )
    assert live_slow.slow_figure(found).value > 0
    assert found.medians["slow"]["reading_p99"] > 0


def test_the_page_is_opened_scrolled_and_switched(tmp_path: Path) -> None:
    found = page.measure(tmp_path, 1, lambda _: None, messages=320, conversations=3)
    (done,) = found.kept
    assert found.medians["open_floor_ms"] > 0
    assert found.medians["open_ms"] > 0
    assert done.values["scrolled"]["messages"] == page.WINDOW
    assert done.values["scrolled"]["jump_px"] <= 1
    assert found.medians["heap_mb"]["first"] > 0
    assert found.medians["switch_floor"]["p50"] > 0
    assert found.medians["switch"]["p50"] > 0
    assert len(page.figures(found)) == 7
