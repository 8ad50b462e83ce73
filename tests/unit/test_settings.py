"""Settings: from the environment, checked, and one sentence when they are wrong."""

import json
import logging
import re
from dataclasses import is_dataclass
from pathlib import Path
from typing import get_type_hints

import pytest
from pydantic import AliasChoices

from chat4all.adapters.crypto import JwtTokens
from chat4all.domain.buckets import Bucket
from chat4all.domain.errors import StartRefused
from chat4all.domain.files import FileLimits, Quota
from chat4all.logs import configure_logging
from chat4all.settings import (
    FileSettings,
    GatewaySettings,
    KafkaSettings,
    MetadataSettings,
    MigrationSettings,
    OneMachineSettings,
    RouterSettings,
    Settings,
    TokenKeys,
    TopicSettings,
    load_settings,
    unknown_names,
)
from chat4all.settings.loading import names_of


def test_defaults_and_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_settings().data == Path("chat4all-data")
    monkeypatch.setenv("CHAT4ALL_METADATA_PORT", "9001")
    monkeypatch.setenv("SECRET_KEY", "x" * 32)
    monkeypatch.setenv("ACCESS_TOKEN_EXPIRE_MINUTES", "5")
    found = load_settings(port=9000)
    assert (found.port, found.metadata_port, found.access_token_expire_minutes) == (9000, 9001, 5)
    assert "x" * 32 not in repr(found)


@pytest.mark.parametrize(
    "field",
    [name for name in Settings.model_fields if f"CHAT4ALL_{name.upper()}" not in names_of(name)],
)
def test_a_name_that_is_called_ignored_is_ignored(
    monkeypatch: pytest.MonkeyPatch, field: str
) -> None:
    """Else an operator's command is for another database than the one that is set."""
    before = getattr(load_settings(), field)
    monkeypatch.setenv(f"CHAT4ALL_{field.upper()}", "1234567890" * 4)
    assert getattr(load_settings(), field) == before
    assert unknown_names() == {"names": [f"CHAT4ALL_{field.upper()}"]}


def test_what_is_empty_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compose makes it so of `${NAME}`: all data would be in the current folder."""
    for name in ("CHAT4ALL_DATA", "CHAT4ALL_PORT", "DATABASE_URL", "SECRET_KEY"):
        monkeypatch.setenv(name, "")
    found = load_settings()
    assert (found.data, found.port, found.secret_key) == (Path("chat4all-data"), 8000, None)
    assert not found.is_cluster


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CHAT4ALL_PORT", "no number"),
        ("CHAT4ALL_PORT", "70000"),
        ("CHAT4ALL_LOG_LEVEL", "loud"),
        ("ACCESS_TOKEN_EXPIRE_MINUTES", "0"),
        ("CHAT4ALL_SIGN_UP", "maybe"),
        ("CHAT4ALL_USER_SEARCH", "friends"),
        ("CHAT4ALL_RATE_LIMITS", "some"),
        ("CHAT4ALL_SEND_PER_SECOND", "0"),
        ("CHAT4ALL_METADATA_URL", "metadata:8001"),
        ("CHAT4ALL_METADATA_URL", "http://metadata:8001/path"),
        ("CHAT4ALL_METADATA_URL", "http://user@metadata:8001"),
        ("CHAT4ALL_METADATA_URL", "http://metadata:99999"),
        ("CHAT4ALL_METADATA_URL", "http://metadata:port"),
        ("CHAT4ALL_METADATA_URL", "http://:8001"),
        ("CHAT4ALL_METADATA_URL", "http://["),
        ("KAFKA_BOOTSTRAP_SERVER", " "),
        ("CASSANDRA_HOSTS", ","),
        ("CHAT4ALL_CORS_ORIGINS", "*,https://a.example"),
        ("CHAT4ALL_CORS_ORIGINS", "a.example"),
        ("CHAT4ALL_CORS_ORIGINS", "https://a.example/"),
        ("CHAT4ALL_CORS_ORIGINS", "https://a.example/path"),
        ("CHAT4ALL_CORS_ORIGINS", "null"),
        ("CHAT4ALL_CORS_ORIGINS", "https://a.example:443"),
        ("CHAT4ALL_TRUSTED_PROXIES", "*"),
        ("CHAT4ALL_TRUSTED_PROXIES", "proxy.example"),
        ("CHAT4ALL_TRUSTED_PROXIES", "10.0.0.0/33"),
        ("CHAT4ALL_TRUSTED_PROXIES", "10.0.0.1/8"),
        ("CHAT4ALL_FILE_MAX", "3GiB"),
        ("CHAT4ALL_FILE_MAX", "0"),
        ("CHAT4ALL_FILE_MAX", "2 gigabytes"),
        ("CHAT4ALL_FILES_PER_USER", "-1"),
        ("CHAT4ALL_UPLOAD_RATE", "1"),
        ("CHAT4ALL_FILES_TOTAL", "1.5GiB"),
        ("CHAT4ALL_FILE_MAX_BY_TYPE", "image"),
        ("CHAT4ALL_FILE_MAX_BY_TYPE", "pictures=1MiB"),
        ("CHAT4ALL_S3_ENDPOINT", "minio:9000"),
        ("CHAT4ALL_S3_ENDPOINT", "http://[minio"),
        ("CHAT4ALL_S3_PUBLIC_ENDPOINT", "https://files.example:0"),
        ("CHAT4ALL_S3_ENDPOINT", "http://key:secret@minio:9000"),
        ("CHAT4ALL_S3_BUCKET", "a/b"),
        ("CHAT4ALL_ROUTER_NAME", "/router-1"),  # as `docker inspect` prints it
    ],
)
def test_a_bad_one_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(StartRefused, match=f"^{name} is not usable: "):
        load_settings()


def test_several_values_stand_with_commas_between(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_settings().cors_origins == load_settings().trusted_proxies == ()
    monkeypatch.setenv("CHAT4ALL_CORS_ORIGINS", "https://a.example, http://localhost:3000")
    monkeypatch.setenv("CHAT4ALL_TRUSTED_PROXIES", "10.0.0.0/8,::1 ,192.0.2.1")
    found = load_settings()
    assert found.cors_origins == ("https://a.example", "http://localhost:3000")
    assert found.trusted_proxies == ("10.0.0.0/8", "::1", "192.0.2.1")
    monkeypatch.setenv("CHAT4ALL_CORS_ORIGINS", "*")
    monkeypatch.setenv("CHAT4ALL_TRUSTED_PROXIES", "")
    assert load_settings().cors_origins == ("*",)
    assert load_settings().trusted_proxies == ()


def test_each_process_gets_only_what_it_uses() -> None:
    """Nobody but `migrate` sees how topics are created, and only a router its session."""
    creating = {"partitions", "replicas", "retention_days", "keyspace_replicas"}
    for part in (GatewaySettings, MetadataSettings, OneMachineSettings, RouterSettings):
        assert creating.isdisjoint(names_in(part))
    assert creating <= names_in(MigrationSettings)
    assert "session_seconds" in names_in(RouterSettings)
    assert "session_seconds" not in names_in(KafkaSettings)
    assert "people" not in names_in(RouterSettings) | names_in(MigrationSettings)


def test_a_part_has_the_values_that_are_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "CHAT4ALL_ROUTER_SESSION_SECONDS": "30",
        "CHAT4ALL_KAFKA_PARTITIONS": "12",
        "CHAT4ALL_KAFKA_REPLICAS": "3",
        "CHAT4ALL_LOG_RETENTION_DAYS": "9",
        "CHAT4ALL_CASSANDRA_REPLICAS": "5",
        "DATABASE_URL": "postgresql://u:password@host/d",
    }.items():
        monkeypatch.setenv(name, value)
    settings = load_settings()
    assert settings.router.session_seconds == 30
    migration = settings.migration
    assert migration.topics == TopicSettings(partitions=12, replicas=3, retention_days=9)
    assert migration.keyspace_replicas == 5
    assert migration.database_url == "postgresql://u:password@host/d"
    assert "password" not in repr(migration)


def names_in(part: type) -> set[str]:
    """Return the names of a part's fields, and those of the parts in it."""
    names = set()
    for name, hint in get_type_hints(part).items():
        inner = isinstance(hint, type) and is_dataclass(hint)
        names |= {name, *(names_in(hint) if inner else ())}
    return names


S3 = {
    "CHAT4ALL_S3_ENDPOINT": "https://s3.example",
    "CHAT4ALL_S3_BUCKET": "files",
    "CHAT4ALL_S3_ACCESS_KEY": "key",
    "CHAT4ALL_S3_SECRET_KEY": "a secret",
}


def test_where_files_are_and_how_many(monkeypatch: pytest.MonkeyPatch) -> None:
    files = load_settings().gateway.files
    assert files == FileSettings(None, FileLimits(), Quota(of_user=10 * 1024**3), 24 * 1024**2)
    assert load_settings().one_machine.files == files
    for name, value in S3.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("CHAT4ALL_FILE_MAX", "100MiB")
    monkeypatch.setenv("CHAT4ALL_FILE_MAX_BY_TYPE", "image=2 MiB, video=1GiB")
    monkeypatch.setenv("CHAT4ALL_FILES_PER_USER", "1000")
    monkeypatch.setenv("CHAT4ALL_FILES_TOTAL", "2TiB")
    monkeypatch.setenv("CHAT4ALL_UPLOAD_RATE", "1MiB")
    files = load_settings().gateway.files
    assert files.s3 == Bucket("https://s3.example", "files", "us-east-1", "key", "a secret")
    assert files.quota == Quota(of_user=1_000, in_all=2 * 1024**4)
    assert files.upload_rate == 1024**2
    types = ("image/png", "video/mp4", "text/plain")
    assert [files.limits.most(one) >> 20 for one in types] == [2, 100, 100]
    assert "a secret" not in repr(files)
    monkeypatch.setenv("CHAT4ALL_S3_PUBLIC_ENDPOINT", "https://files.example")
    found = load_settings().gateway.files.s3
    assert found is not None
    assert found.public_endpoint == "https://files.example"


@pytest.mark.parametrize("address", ["/run/clamav/clamd.ctl", "clamd:3310", "[::1]:3310"])
def test_where_the_scanner_is(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setenv("CHAT4ALL_CLAMD_ADDRESS", address)
    assert load_settings().gateway.files.clamd == address
    assert load_settings().one_machine.files.clamd == address


@pytest.mark.parametrize(
    "address",
    ["clamd", "clamd:", ":3310", "clamd:0", "clamd:65536", "run/clamd.ctl", "/" + "x" * 107],
)
def test_no_address_of_a_scanner(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setenv("CHAT4ALL_CLAMD_ADDRESS", address)
    with pytest.raises(StartRefused, match=r"^CHAT4ALL_CLAMD_ADDRESS.*host:port"):
        load_settings()


@pytest.mark.parametrize("missing", S3)
def test_half_of_a_store_is_none(monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    for name in S3.keys() - {missing}:
        monkeypatch.setenv(name, S3[name])
    with pytest.raises(StartRefused, match=f"^the store of files needs {missing} too: set it"):
        _ = load_settings().gateway


SECRETS = ("SECRET_KEY", "CHAT4ALL_SERVICE_CREDENTIAL", "CHAT4ALL_S3_SECRET_KEY")


@pytest.mark.parametrize("name", SECRETS)
def test_a_secret_can_be_in_a_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    file = tmp_path / "secret"
    file.write_text("x" * 40 + "\n")
    monkeypatch.setenv(f"{name}_FILE", str(file))
    for other in S3.keys() - {"CHAT4ALL_S3_SECRET_KEY"}:
        monkeypatch.setenv(other, S3[other])
    if name != "CHAT4ALL_S3_SECRET_KEY":
        monkeypatch.setenv("CHAT4ALL_S3_SECRET_KEY", "another")
    found = load_settings()
    secret = getattr(found, name.removeprefix("CHAT4ALL_").lower())
    assert secret.get_secret_value() == "x" * 40
    assert "x" * 40 not in repr(found)
    for part in (found.one_machine, found.gateway, found.metadata, found.keys):
        assert "x" * 40 not in repr(part)


def test_the_keys_beside_a_key_are_accepted(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "secret-key"
    file.write_text("x" * 40)
    monkeypatch.setenv("SECRET_KEY_FILE", str(file))
    assert load_settings().keys.accepted == ()
    (tmp_path / "secret-key.previous").write_text("p" * 40 + "\n")
    assert load_settings().keys.accepted == (b"p" * 40,)
    (tmp_path / "secret-key.next").write_text("n" * 40)
    found = load_settings()
    assert found.keys.accepted == (b"n" * 40, b"p" * 40)
    assert "nnn" not in repr(found)
    monkeypatch.setenv("SECRET_KEYS_ACCEPTED", f"{'a' * 40}, {'b' * 40}")
    accepted = (b"n" * 40, b"p" * 40, b"a" * 40, b"b" * 40)
    assert load_settings().keys.accepted == accepted
    with pytest.raises(StartRefused, match="SECRET_KEYS_ACCEPTED has 5 bytes"):
        JwtTokens(b"x" * 40, [b"short"])


@pytest.mark.parametrize("between", ["\n", ",", " ", ", "])
def test_a_key_of_a_file_is_one_key_whatever_is_in_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, between: str
) -> None:
    """`openssl rand -base64 96` prints two lines."""
    old, new = (f"{letter * 40}{between}{letter * 40}" for letter in "ab")
    file = tmp_path / "secret-key"
    file.write_text(f"{old}\n")
    (tmp_path / "secret-key.next").write_text(f"{new}\n")
    before = load_settings_of(monkeypatch, file)
    (tmp_path / "secret-key.next").rename(file)
    (tmp_path / "secret-key.previous").write_text(f"{old}\n")
    after = load_settings_of(monkeypatch, file)
    assert (before.secret, before.accepted) == (old.encode(), (new.encode(),))
    assert (after.secret, after.accepted) == (new.encode(), (old.encode(),))


def load_settings_of(monkeypatch: pytest.MonkeyPatch, file: Path) -> TokenKeys:
    monkeypatch.setenv("SECRET_KEY_FILE", str(file))
    return load_settings().keys


@pytest.mark.parametrize("name", SECRETS)
def test_a_secret_in_a_file_that_cannot_be_is_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    file = tmp_path / "secret"
    monkeypatch.setenv(f"{name}_FILE", str(file))
    with pytest.raises(StartRefused, match=f"^{name}_FILE is not usable: .*No such file"):
        load_settings()
    file.write_bytes(b"\xff" * 40)
    with pytest.raises(StartRefused, match=f"^{name}_FILE is not usable: .*not text"):
        load_settings()
    file.write_text("x" * 40)
    monkeypatch.setenv(name, "y" * 40)
    with pytest.raises(StartRefused, match=f"^{name} and {name}_FILE are both set"):
        load_settings()


@pytest.mark.parametrize(("value", "on"), [("off", False), ("on", True), ("true", True)])
def test_limits_can_be_switched_off(monkeypatch: pytest.MonkeyPatch, value: str, on: bool) -> None:
    monkeypatch.setenv("CHAT4ALL_RATE_LIMITS", value)
    assert load_settings().rate_limits is on


def test_the_settings_and_their_defaults_are_those_that_are_documented() -> None:
    page = Path("docs/operations/settings.md").read_text()
    rows = re.findall(r"^\| `((?:CHAT4ALL_)?[A-Z0-9_]+)` \| (.*?) \| ", page, re.MULTILINE)
    documented = dict(rows)
    assert len(documented) == len(rows)
    words: dict[object, str] = {None: "none", (): "nobody"}
    for name, field in Settings.model_fields.items():
        assert field.description
        default = field.default or None if isinstance(field.default, dict) else field.default
        shown = ",".join(default) if isinstance(default, tuple) else default
        result = words.get(default) or f"`{str(default).lower() if default is True else shown}`"
        alias = field.validation_alias
        if isinstance(alias, AliasChoices):  # the row of the first has both
            alias, other = map(str, alias.choices)
            assert f"`{other}` is the same" in page
        variable = str(alias or f"CHAT4ALL_{name.upper()}")
        if variable == "SECRET_KEY":
            result = "made and kept"
        assert documented.pop(variable) == result, variable
    assert not documented


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


def test_two_services_of_one_machine_cannot_have_one_port() -> None:
    with pytest.raises(StartRefused, match=r"both have port 8001: .*--port and --metadata-port"):
        _ = load_settings(port=8001).one_machine
    # In a cluster they are on machines of their own.
    assert load_settings(port=8001).gateway.listening.port == 8001
