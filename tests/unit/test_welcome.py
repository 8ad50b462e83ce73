"""What `chat4all up` says at its start."""

from chat4all.processes.welcome import welcome
from chat4all.settings import load_settings


def test_an_answer_ends_its_line() -> None:
    told = welcome(load_settings().one_machine, has_demo=True)
    asked = [line.strip() for line in told.splitlines() if line.startswith("  curl")]
    assert len(asked) == 2
    for line in asked:
        assert line.startswith(r"curl -sw '\n' http://localhost:8000/v1/")
