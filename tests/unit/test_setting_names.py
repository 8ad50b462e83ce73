"""Names in the environment that are no settings: typing errors, and what others put there."""

from pathlib import Path

import pytest

from chat4all.cli import USERS
from chat4all.domain.errors import StartRefused
from chat4all.settings import load_settings, unknown_names
from chat4all.settings.loading import setting_names
from chat4all.settings.names import edits
from tests.unit.test_commands import chat4all

ARGUMENTS = {
    "login": ("ana", "--password-stdin"),
    "history": ("ana",),
    "send": ("ana", "x"),
    "send-file": ("ana", __file__),
    "download": ("ana", "1"),
    "read": ("ana",),
    "group": ("create", "x"),
}


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [*setting_names(), "KAFKA_BROKERS"]:
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("CHAT4ALL_SIGNUP", "CHAT4ALL_SIGN_UP"),
        ("CHAT4ALL_SIGNUPS_PER_HOUR", "CHAT4ALL_SIGN_UPS_PER_HOUR"),
        ("CHAT4ALL_POTR", "CHAT4ALL_PORT"),
        ("chat4all_potr", "CHAT4ALL_PORT"),
        ("CHAT4ALL_DATAS", "CHAT4ALL_DATA"),
        ("CHAT4ALL_METADATAURL", "CHAT4ALL_METADATA_URL"),
        ("CHAT4ALL_USR", "CHAT4ALL_USER"),
        ("CHAT4ALL_TRUSTED_PROXY", None),  # three letters: a warning only
    ],
)
def test_a_typing_error_stops_the_start(
    monkeypatch: pytest.MonkeyPatch, name: str, meant: str | None
) -> None:
    monkeypatch.setenv(name, "secret value")
    if meant is None:
        load_settings()
        assert unknown_names() == {"names": [name]}
        return
    with pytest.raises(StartRefused) as refused:
        load_settings()
    assert str(refused.value).startswith(f"{name.upper()} is no setting: did you mean {meant}?")
    assert "secret value" not in str(refused.value)


@pytest.mark.parametrize("name", setting_names())
def test_every_setting_is_known_and_protected(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "x")
    assert name not in str(unknown_names())
    monkeypatch.delenv(name)
    monkeypatch.setenv(f"{name}X", "x")
    if f"{name}X" in setting_names():
        return
    if name.startswith("CHAT4ALL_"):
        with pytest.raises(StartRefused, match="did you mean"):
            load_settings()
    else:  # it may be another program's
        load_settings()
        assert unknown_names() == {"perhaps_misspelt": [f"{name}X for {name}"]}
        monkeypatch.setenv(name, "x" * 32)
        assert unknown_names() == {}


def test_what_kubernetes_and_links_set_is_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    for service in ("CHAT4ALL", "CHAT4ALL_METADATA", "CHAT4ALL_ROUTER", "CHAT4ALL_CASSANDRA"):
        for name, value in {
            "SERVICE_HOST": "10.0.0.1",
            "SERVICE_PORT": "8000",
            "SERVICE_PORT_HTTP": "8000",
            "PORT": "tcp://10.0.0.1:8000",
            "PORT_8000_TCP": "tcp://10.0.0.1:8000",
            "PORT_8000_TCP_PROTO": "tcp",
            "PORT_8000_TCP_PORT": "8000",
            "PORT_8000_TCP_ADDR": "10.0.0.1",
            "NAME": "/web/chat4all",
            "ENV_SECRET": "x",
        }.items():
            monkeypatch.setenv(f"{service}_{name}", value)
    found = load_settings()
    assert (found.port, found.metadata_port, found.router_port) == (8000, 8001, 8002)
    assert found.cassandra_port == 9042
    assert unknown_names() == {}
    monkeypatch.setenv("CHAT4ALL_PORT", "tcp:10.0.0.1")
    with pytest.raises(StartRefused, match="CHAT4ALL_PORT is not usable"):
        load_settings()


def test_names_of_clients_and_tools_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("URL", "USER", "PASSWORD", "CHAT", "ENGINES"):
        monkeypatch.setenv(f"CHAT4ALL_{name}", "x")
    load_settings()
    assert unknown_names() == {}


def test_the_doctor_tells_of_what_does_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    monkeypatch.setenv("CHAT4ALL_SOMETHING_ELSE", "x")
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "x")
    output = chat4all("doctor", "--data", f"{tmp_path}/none").stdout
    assert "CHAT4ALL_SOMETHING_ELSE is no setting" in output
    assert "KAFKA_BOOTSTRAP_SERVERS is set, and KAFKA_BOOTSTRAP_SERVER, which is not" in output


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("CHAT4ALL_SIGN_UP", "closedd", ("'open'", "'closed'")),
        ("CHAT4ALL_LOG_LEVEL", "loud", ("'debug'", "'info'", "'warning'", "'error'")),
        ("CHAT4ALL_DEPLOYMENT", "test", ("'production'", "'development'")),
        ("CHAT4ALL_RATE_LIMITS", "some", ("true", "false")),
        ("CHAT4ALL_DEMO", "maybe", ("true", "false")),
        ("CHAT4ALL_PORT", "0", ("greater than or equal to 1",)),
    ],
)
def test_a_value_that_cannot_be_used_is_told_what_can(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, allowed: tuple[str, ...]
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(StartRefused) as refused:
        load_settings()
    for one in allowed:
        assert one in str(refused.value)


@pytest.mark.parametrize(
    ("one", "other", "distance"),
    [("", "", 0), ("a", "", 1), ("port", "potr", 2), ("kitten", "sitting", 3), ("ab", "ab", 0)],
)
def test_edits(one: str, other: str, distance: int) -> None:
    assert edits(one, other) == edits(other, one) == distance


@pytest.mark.parametrize("name", ["CHAT4ALL_USR", "CHAT4ALL_ULR", "CHAT4ALL_SIGNUP"])
@pytest.mark.parametrize("command", USERS)
def test_a_typing_error_stops_commands_of_users(
    monkeypatch: pytest.MonkeyPatch, command: str, name: str
) -> None:
    """Fails when another user, or another server, is asked in silence, perhaps with a password."""
    monkeypatch.setenv(name, "x")
    result = chat4all(command, *ARGUMENTS.get(command, ()), stdin=b"password")
    assert result.exit_code == 1
    assert result.stderr.startswith(f"chat4all: {name} is no setting: did you mean CHAT4ALL_")


@pytest.mark.parametrize(
    "command", ["users list", "groups list", "dead-letters list", "backup b", "restore b"]
)
def test_operators_commands_tell_of_names_that_do_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, command: str
) -> None:
    """Fails when a folder is copied, or written, that is not the one that was meant."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CHAT4ALL_DATA_DIR", "/elsewhere")
    result = chat4all(*command.split(), "--data", tmp_path / "data")
    assert "chat4all: ignored, no setting of Chat4All: CHAT4ALL_DATA_DIR\n" in result.stderr
