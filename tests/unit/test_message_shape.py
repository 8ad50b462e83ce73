"""A public message is defined once: a field that is added there is found everywhere."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import chat4all

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
DEFINITION = "class MessageView(msgspec.Struct):"
LAST_FIELD = "    seq: Annotated["
ADDED = "    log_position: list[int]\n"


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Any]:
    """What a package shows whose `MessageView` has one line more."""
    folder = tmp_path_factory.mktemp("shape")
    package = folder / "chat4all"
    original = Path(chat4all.__file__).parent
    shutil.copytree(original, package, ignore=shutil.ignore_patterns("__pycache__"))
    module = package / "wire" / "messages.py"
    before, definition, after = module.read_text().partition(DEFINITION)
    assert LAST_FIELD in after
    module.write_text(before + definition + after.replace(LAST_FIELD, ADDED + LAST_FIELD, 1))

    done = subprocess.run(
        [sys.executable, "-m", "tests.message_shapes", str(folder / "data")],
        env=os.environ | {"PYTHONPATH": f"{folder}{os.pathsep}{ROOT}"},
        cwd=folder,
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    shown: Mapping[str, Any] = json.loads(done.stdout)
    assert shown["package"] == str(package / "__init__.py")
    return shown


@pytest.mark.parametrize("place", ["message_view", "cassandra"])
def test_a_new_field_is_in_what_is_made_of_a_stored_message(
    shapes: Mapping[str, Any], place: str
) -> None:
    assert shapes[place]["log_position"] == [4, 5, 6]


@pytest.mark.parametrize("place", ["embedded", "stored", "listed"])
def test_a_new_field_is_in_what_one_machine_answers(shapes: Mapping[str, Any], place: str) -> None:
    assert shapes[place]["log_position"] == [0, 0, 1]


def test_a_new_field_is_null_while_only_the_log_has_the_message(shapes: Mapping[str, Any]) -> None:
    assert shapes["accepted_view"]["log_position"] is None
    assert shapes["accepted_view"]["seq"] is None


def test_a_new_field_is_described(shapes: Mapping[str, Any]) -> None:
    assert shapes["openapi"]["log_position"] == {"type": "array", "items": {"type": "integer"}}
    assert "log_position" in shapes["required"]


def test_every_place_has_the_fields_in_the_order_of_the_definition(
    shapes: Mapping[str, Any],
) -> None:
    fields = list(shapes["openapi"])
    assert fields[fields.index("log_position") + 1] == "seq"
    for place in (
        "message_view",
        "cassandra",
        "embedded",
        "stored",
        "listed",
        "accepted_view",
    ):
        assert list(shapes[place]) == fields, place


def test_what_one_machine_answers_is_the_same_everywhere(shapes: Mapping[str, Any]) -> None:
    assert shapes["stored"] == shapes["embedded"]
    assert shapes["listed"] == shapes["embedded"]
