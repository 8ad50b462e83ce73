"""How the open files of a process are divided."""

import resource
from math import inf

import pytest

from chat4all.http.server import open_files


@pytest.mark.parametrize(
    ("soft", "hard", "http", "sockets"),
    [
        (1_024, 20_000, 5_000, 14_900),
        (524_288, 524_288, 5_000, 519_188),
        (1_024, 4_100, 2_000, 2_000),
        (64, 64, 1, 1),
        (1_024, resource.RLIM_INFINITY, 5_000, inf),
    ],
)
def test_what_each_kind_has(
    monkeypatch: pytest.MonkeyPatch, soft: int, hard: int, http: float, sockets: float
) -> None:
    raised = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: (soft, hard))
    monkeypatch.setattr(resource, "setrlimit", lambda _, limits: raised.append(limits))
    assert (open_files.files_for_http(), open_files.files_for_sockets()) == (http, sockets)
    assert set(raised) == (set() if soft == hard else {(hard, hard)})
