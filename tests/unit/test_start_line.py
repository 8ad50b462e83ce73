"""What a process says of itself when it has started, and what it does not."""

import logging
from pathlib import Path

import pytest

from chat4all import __version__
from chat4all.processes import one_machine
from chat4all.settings import Listening, load_settings

SECRET = "0123456789abcdef0123456789abcdef"


def test_settings_that_are_not_the_defaults_are_known_without_their_secrets(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert load_settings().changed == {}
    monkeypatch.setenv("SECRET_KEY", SECRET)
    monkeypatch.setenv("DATABASE_URL", f"postgresql://ana:{SECRET}@db/chat")
    monkeypatch.setenv("CHAT4ALL_SERVICE_CREDENTIAL", SECRET)
    monkeypatch.setenv("CHAT4ALL_PORT", "8000")
    monkeypatch.setenv("CHAT4ALL_CORS_ORIGINS", "https://a.example, https://b.example")
    settings = load_settings(data=tmp_path, demo=False)
    assert settings.changed == {
        "data": str(tmp_path),
        "demo": "False",
        "secret_key": "(set)",
        "database_url": "(set)",
        "service_credential": "(set)",
        "cors_origins": "https://a.example,https://b.example",
    }
    for part in (settings.one_machine, settings.gateway, settings.metadata, settings.router):
        assert part.changed == settings.changed


def test_one_machine_says_what_it_is(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setenv("SECRET_KEY", SECRET)
    settings = load_settings(data=tmp_path, port=9000).one_machine
    one_machine._started(settings, has_demo=False)
    (line,) = [record.__dict__ for record in caplog.records if record.message == "started"]
    said = {name: line[name] for name in ("service", "version", "gateway", "metadata", "data")}
    assert said == {
        "service": "one machine",
        "version": __version__,
        "gateway": "127.0.0.1:9000",
        "metadata": "127.0.0.1:8001",
        "data": str(tmp_path.resolve()),
    }
    assert line["settings"] == {"data": str(tmp_path), "port": "9000", "secret_key": "(set)"}
    assert SECRET not in str(line)


@pytest.mark.parametrize(("host", "text"), [("0.0.0.0", "0.0.0.0:80"), ("::1", "[::1]:80")])
def test_an_address_is_written_as_in_a_url(host: str, text: str) -> None:
    assert str(Listening(host, 80)) == text
