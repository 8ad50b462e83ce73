"""A process whose producer has failed for good ends, so that another one takes its place."""

import secrets
from pathlib import Path

import pytest

from tests.cluster.services import Service
from tests.faults.running import environment, free_ports

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]


@pytest.mark.parametrize("what", ["gateway", "metadata", "router"])
def test_it_ends_with_a_status_that_restarts_it(tmp_path: Path, what: str) -> None:
    """Fails when the process goes on: it would acknowledge nothing any more (EXACTNESS 11)."""
    port, nothing = free_ports(2)
    own = {"gateway": "CHAT4ALL_PORT", "metadata": "CHAT4ALL_METADATA_PORT"}
    settings = environment() | {
        own.get(what, "CHAT4ALL_ROUTER_PORT"): str(port),
        "KAFKA_BOOTSTRAP_SERVER": f"127.0.0.1:{nothing}",
        "CASSANDRA_HOSTS": "127.0.0.1",
        "CHAT4ALL_CASSANDRA_PORT": str(nothing),
        "CHAT4ALL_METADATA_URL": f"http://127.0.0.1:{nothing}",
        "DATABASE_URL": f"postgresql://nobody@127.0.0.1:{nothing}/nothing",
        "SECRET_KEY": secrets.token_hex(32),
        "CHAT4ALL_SERVICE_CREDENTIAL": secrets.token_hex(32),
    }
    service = Service(what, port, tmp_path / "log", settings, ("producer_fails",)).start()
    assert service.process is not None
    try:
        assert service.process.wait(60) == 1
    finally:
        service.process.kill()
        service.process.wait(30)
    assert "the producer has failed for good" in service.log.read_text()
