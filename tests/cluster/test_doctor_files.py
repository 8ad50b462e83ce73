"""`chat4all doctor` on a real store of files: one that works, and ways in which one does not."""

import asyncio
import datetime
import uuid
from types import SimpleNamespace
from typing import Any

import pytest
from botocore import auth

from chat4all.doctor.cluster.files import store_of_files
from chat4all.doctor.findings import Finding, Status
from chat4all.doctor.runner import run
from chat4all.settings import Settings
from engines import S3Server
from tests.faults.running import free_ports

pytestmark = [pytest.mark.slow, pytest.mark.engines, pytest.mark.timeout(120)]


@pytest.fixture
def settings(s3: S3Server) -> dict[str, str]:
    return {
        "s3_endpoint": s3.address,
        "s3_bucket": s3.create_bucket(f"doctor-{uuid.uuid4()}"),
        "s3_region": s3.region,
        "s3_access_key": s3.access_key,
        "s3_secret_key": s3.secret_key,
    }


def found(settings: dict[str, str]) -> Finding:
    cluster: Any = SimpleNamespace(settings=Settings(**settings))  # type: ignore[arg-type]
    (finding,) = asyncio.run(run(store_of_files, cluster))
    return finding


def test_a_store_that_works_is_left_as_it_was(s3: S3Server, settings: dict[str, str]) -> None:
    finding = found(settings)
    assert finding.status is Status.OK, finding
    assert f"{s3.address} has the bucket {settings['s3_bucket']}" in finding.says
    bucket = s3.create_bucket(settings["s3_bucket"])
    left = [path for path in (s3.folder / "data" / "buckets" / bucket).rglob("*") if path.is_file()]
    assert not left


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"s3_bucket": "nobodys"}, "has no bucket nobodys: make it, or set CHAT4ALL_S3_BUCKET"),
        ({"s3_secret_key": "wrong"}, "refuses these credentials"),
        ({"s3_access_key": "nobody"}, "refuses these credentials"),
    ],
)
def test_what_is_set_wrongly(settings: dict[str, str], wrong: dict[str, str], says: str) -> None:
    finding = found(settings | wrong)
    assert finding.status is Status.PROBLEM
    assert says in finding.says


def test_nobody_at_the_endpoint(settings: dict[str, str]) -> None:
    (port,) = free_ports(1)
    finding = found(settings | {"s3_endpoint": f"http://127.0.0.1:{port}"})
    assert finding.status is Status.PROBLEM
    assert "does not answer (Connection refused): start it, or set CHAT4ALL_S3_ENDPOINT" in (
        finding.says
    )


def test_a_clock_that_is_an_hour_ahead(
    settings: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def ahead(*_: object, **__: object) -> datetime.datetime:
        return datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=1)

    monkeypatch.setattr(auth, "get_current_datetime", ahead)
    finding = found(settings)
    assert finding.status is Status.PROBLEM
    assert "has another time than this machine: set both clocks right" in finding.says
