"""Settings: from the environment, checked, and one sentence when they are wrong."""

import json
import logging
from pathlib import Path

import pytest

from chat4all.domain.errors import StartRefused
from chat4all.logs import configure_logging
from chat4all.settings import Settings, load_settings


def test_defaults_and_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_settings().data == Path("chat4all-data")
    monkeypatch.setenv("CHAT4ALL_METADATA_PORT", "9001")
    monkeypatch.setenv("SECRET_KEY", "x" * 32)
    monkeypatch.setenv("ACCESS_TOKEN_EXPIRE_MINUTES", "5")
    found = load_settings(port=9000)
    assert (found.port, found.metadata_port, found.access_token_expire_minutes) == (9000, 9001, 5)
    assert "x" * 32 not in repr(found)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CHAT4ALL_PORT", "no number"),
        ("CHAT4ALL_PORT", "70000"),
        ("CHAT4ALL_LOG_LEVEL", "loud"),
        ("ACCESS_TOKEN_EXPIRE_MINUTES", "0"),
    ],
)
def test_a_bad_one_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(StartRefused, match=f"^{name} is not usable: "):
        load_settings()


def test_every_setting_is_documented() -> None:
    page = Path("docs/operations.md").read_text()
    for name, field in Settings.model_fields.items():
        variable = str(field.validation_alias or f"CHAT4ALL_{name.upper()}")
        assert f"`{variable}`" in page
        assert field.description


def test_logs_are_json(capsys: pytest.CaptureFixture[str]) -> None:
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    try:
        configure_logging("info")
        logging.getLogger("chat4all.x").info("said", extra={"position": (0, 0, 1)})
        logging.getLogger("chat4all.x").debug("not said")
        logging.getLogger("sqlalchemy.engine").info("not said")
    finally:
        root.handlers[:] = before
        root.setLevel(level)
    (line,) = capsys.readouterr().err.splitlines()
    found = json.loads(line)
    assert found["message"] == "said"
    assert (found["level"], found["logger"], found["position"]) == ("INFO", "chat4all.x", [0, 0, 1])
    assert "time" in found
