"""Each service's command, settings and health check in `docker-compose.yml`, run as processes.

Kafka is set up by its image's own program, Cassandra with the image's variables; PostgreSQL is in
CockroachDB's place.
"""

import asyncio
import signal
import subprocess
import sys
import urllib.request
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from chat4all.adapters.cassandra import CassandraInspection, CassandraSession, Contact
from tests.cluster.composed import Deployment, deployed
from tests.compose import SERVICES
from tests.databases import Databases
from tests.faults.running import CHAT, call, environment, until

pytestmark = [pytest.mark.slow, pytest.mark.engines, pytest.mark.timeout(480)]


@pytest.fixture(scope="module")
def deployment(
    tmp_path_factory: pytest.TempPathFactory, databases_of_all: Databases
) -> Iterator[Deployment]:
    with deployed(tmp_path_factory.mktemp("compose"), databases_of_all) as found:
        names = found.up()
        assert names.index("secrets") < names.index("frontend_service")
        assert names.index("migrate") < names.index("router_worker")
        yield found
        # What comes last is said of all: nothing was written, and each ends when it is told to.
        assert found.written() == []
        assert set(found.stop().values()) == {0}


@pytest.fixture(scope="module")
def demonstration(deployment: Deployment) -> Deployment:
    first = deployment.run("demo")
    assert "bruno and ana, password test" in first
    assert deployment.run("demo") == first  # again changes nothing
    return deployment


def sign_in(on: Deployment, username: str, password: str = "test") -> tuple[int, Any]:
    form = {"username": username, "password": password}
    return call("POST", f"{on.gateway}/token", form=form)


def token_of(on: Deployment, username: str) -> str:
    status, body = sign_in(on, username)
    assert status == 200, body
    return str(body["access_token"])


def history(on: Deployment, token: str) -> list[dict[str, Any]]:
    path = f"/v1/conversations/{CHAT}/messages?limit=200"
    status, page = call("GET", on.gateway + path, token=token)
    assert status == 200, page
    return list(page)


def test_cassandra_syncs_before_it_answers(deployment: Deployment) -> None:
    """Without `allow_system_properties` it would start all the same, and not listen to the rest."""
    node = deployment.cassandra

    async def settings() -> Mapping[str, str | None]:
        session = CassandraSession(Contact([node.address], "system", node.port))
        try:
            return (await CassandraInspection(session).node()).settings
        finally:
            await session.close()

    found = asyncio.run(settings())
    assert found["commitlog_sync"] == "batch"
    assert found["commitlog_disk_access_mode"] == "legacy"


def test_a_file_is_kept_in_the_bucket_that_was_made(demonstration: Deployment) -> None:
    on, content = demonstration, uuid.uuid4().bytes * 700_000  # two parts
    headers = {
        "Authorization": f"Bearer {token_of(on, 'bruno')}",
        "Tus-Resumable": "1.0.0",
        "Upload-Length": str(len(content)),
        "Content-Type": "application/offset+octet-stream",
    }
    asked = urllib.request.Request(f"{on.gateway}/v1/files", content, headers, method="POST")
    with urllib.request.urlopen(asked, timeout=60) as answer:
        place = answer.headers["Location"]
    asked = urllib.request.Request(f"{on.gateway}{place}", headers=headers)
    with urllib.request.urlopen(asked, timeout=60) as answer:
        assert answer.read() == content
    bucket = SERVICES["migrate"]["environment"]["CHAT4ALL_S3_BUCKET"]
    kept = [path.stat().st_size for path in on.s3.folder.rglob(f"{bucket}/*/*")]
    assert len(content) in kept
    on.run("migrate")  # again changes nothing
    with urllib.request.urlopen(asked, timeout=60) as answer:
        assert answer.read() == content


def test_the_documented_session(demonstration: Deployment) -> None:
    on = demonstration
    status, body = sign_in(on, "bruno", "wrong")
    assert status == 401
    bruno = token_of(on, "bruno")
    text = f"Olá 🎉 {uuid.uuid4()}"
    message = {"chat_id": CHAT, "content": text}
    status, sent = call("POST", f"{on.gateway}/v1/messages", message, bruno)
    assert (status, sent["status"]) == (202, "accepted")

    own = str(uuid.uuid4())
    again = {"chat_id": CHAT, "content": f"twice {own}", "message_id": own}
    for _ in range(2):
        assert call("POST", f"{on.gateway}/v1/messages", again, bruno) == (
            202,
            {"status": "accepted", "message_id": own},
        )
    row = [f"{n} {own}" for n in range(20)]
    for content in row:
        message = {"chat_id": CHAT, "content": content}
        assert call("POST", f"{on.gateway}/v1/messages", message, bruno)[0] == 202
    until(lambda: history(on, bruno)[-1:] != [] and history(on, bruno)[-1]["content"] == row[-1])
    seen = history(on, bruno)
    assert [m["content"] for m in seen if m["content"] in row] == row
    assert [m["message_id"] for m in seen].count(own) == 1
    (found,) = [m for m in seen if m["content"] == text]
    assert found["message_id"] == sent["message_id"]
    assert (found["conversation_id"], found["sender_id"]) == (CHAT, "bruno")
    assert found["created_at"].endswith("Z")
    assert found["status"] in ("DELIVERED", "READ")
    assert history(on, token_of(on, "ana")) == seen

    path = f"{on.gateway}/v1/conversations/{CHAT}/messages"
    for bad in (None, bruno[:-4] + "AAAA", "bruno"):
        assert call("GET", path, token=bad)[0] == 401
    for no_text in (None, {"a": 1}):
        refused = {"chat_id": CHAT, "content": no_text}
        assert call("POST", f"{on.gateway}/v1/messages", refused, bruno)[0] == 422

    name = f"novo_{uuid.uuid4().hex[:8]}"
    user = {"username": name, "email": f"{name}@example.com", "password": "senha_segura"}
    status, made = call("POST", f"{on.metadata}/v1/users", user)
    assert (status, made["username"]) == (201, name)
    assert call("POST", f"{on.metadata}/v1/users", user)[0] == 409
    status, body = sign_in(on, name, "senha_segura")
    assert status == 200
    assert call("GET", path, token=body["access_token"])[0] == 404
    message = {"chat_id": CHAT, "content": "x"}
    assert call("POST", f"{on.gateway}/v1/messages", message, body["access_token"])[0] == 404
    for service in (on.gateway, on.metadata):
        assert call("GET", f"{service}/health") == (200, {"status": "ok"})


def test_the_examples_send_and_watch(demonstration: Deployment, tmp_path: Path) -> None:
    """From outside the network: by the address that Kafka gives to this machine."""
    on = demonstration
    variables = environment() | {
        "CHAT4ALL_URL": on.gateway,
        "KAFKA_BOOTSTRAP_SERVER": f"127.0.0.1:{on.outside}",
    }
    shown = tmp_path / "shown"
    with shown.open("wb") as output:
        # What a shell starts in the background is deaf to Ctrl+C, and so are its children.
        hearing = ["env", "--default-signal=INT", sys.executable]
        watching = subprocess.Popen(
            [*hearing, "client-python/test_consumer.py"], stdout=output, env=variables
        )
    try:
        until(lambda: shown.read_text().startswith("Watching chat_messages"))
        told = subprocess.run(
            [sys.executable, "client-python/test_producer.py", "Bom", "dia!"],
            env=variables,
            capture_output=True,
            text=True,
            check=True,
            timeout=30,
        )
        signed_in, sent, answer = told.stdout.splitlines()
        assert (signed_in, sent) == ("Signed in as bruno.", "Sent: Bom dia!")
        assert answer.startswith("Answer: accepted, message_id ")
        until(lambda: f"{CHAT} bruno: Bom dia!\n" in shown.read_text())
        watching.send_signal(signal.SIGINT)
        assert watching.wait(30) == 0
    finally:
        watching.kill()
        watching.wait(30)
    wrong = variables | {"CHAT4ALL_PASSWORD": "wrong"}
    refused = subprocess.run(
        [sys.executable, "client-python/test_producer.py"],
        env=wrong,
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert refused.returncode == 1
    assert refused.stderr.startswith("/token was refused with 401: ")
