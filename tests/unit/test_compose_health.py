"""The engines' health checks in `docker-compose.yml`, asking servers that a test plays."""

import re
import socket
import subprocess
import threading

import pytest

from tests.compose import ENGINES, health_check

pytestmark = pytest.mark.slow

KAFKA_QUESTION = bytes.fromhex("0000000e 0003 0001 00000000 ffff 00000000")
CASSANDRA_QUESTION = bytes.fromhex("04 00 0000 05 00000000")
COCKROACHDB_QUESTION = b"GET /health?ready=1 HTTP/1.0\r\n\r\n"
S3_QUESTION = b"GET /health HTTP/1.1\r\n"


def asked(engine: str, question: bytes, answer: bytes) -> bool:
    """Return what the check says to a server that gives this answer to that question."""
    received = bytearray()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with server.accept()[0] as connection:
                while len(received) < len(question):
                    received.extend(connection.recv(1024))
                connection.sendall(answer)

        serving = threading.Thread(target=serve)
        serving.start()
        found = healthy(engine, server.getsockname()[1])
        serving.join(10)
    assert bytes(received).startswith(question)
    return found


def healthy(engine: str, port: int) -> bool:
    if engine == "s3":
        *command, url = health_check(engine)
        here = re.sub(r":\d+/", f":{port}/", url)
        command = ["busybox", *command, here]  # as the image has it
        return subprocess.run(command, capture_output=True, check=False, timeout=10).returncode == 0
    program, option, script = health_check(engine)
    here, count = re.subn(r"/dev/tcp/localhost/\d+", f"/dev/tcp/127.0.0.1/{port}", script)
    assert count == 1
    command = [program, option, here.replace("$$", "$")]  # as Compose reads it
    return subprocess.run(command, capture_output=True, check=False, timeout=10).returncode == 0


@pytest.mark.parametrize(("brokers", "ready"), [(0, False), (1, True), (3, True)])
def test_kafka_is_healthy_once_a_broker_is_registered(brokers: int, ready: bool) -> None:
    answer = bytes.fromhex(f"000000ff 00000000 {brokers:08x}") + b"\0" * 40
    assert asked("kafka", KAFKA_QUESTION, answer) is ready


@pytest.mark.parametrize(
    ("answer", "ready"),
    [("84 00 0000 06 00000004", True), ("84 00 0000 00 00000004", False)],
    ids=["supported", "error"],
)
def test_cassandra_is_healthy_once_it_tells_what_it_supports(answer: str, ready: bool) -> None:
    assert asked("cassandra", CASSANDRA_QUESTION, bytes.fromhex(answer) + b"1234") is ready


@pytest.mark.parametrize(("status", "ready"), [("200 OK", True), ("503 Unavailable", False)])
def test_cockroachdb_is_healthy_once_it_says_so(status: str, ready: bool) -> None:
    answer = f"HTTP/1.0 {status}\r\nContent-Type: application/json\r\n\r\n{{}}"
    assert asked("cockroachdb", COCKROACHDB_QUESTION, answer.encode()) is ready


@pytest.mark.parametrize(("status", "ready"), [("200 OK", True), ("503 Unavailable", False)])
def test_s3_is_healthy_once_it_says_so(status: str, ready: bool) -> None:
    answer = f"HTTP/1.1 {status}\r\nContent-Length: 2\r\nConnection: close\r\n\r\nOK"
    assert asked("s3", S3_QUESTION, answer.encode()) is ready


@pytest.mark.parametrize("engine", ENGINES)
def test_nobody_there_is_not_healthy(engine: str) -> None:
    with socket.socket() as nobody:  # bound, and not listening
        nobody.bind(("127.0.0.1", 0))
        assert not healthy(engine, nobody.getsockname()[1])


@pytest.mark.parametrize("engine", ENGINES)
def test_a_connection_that_is_closed_is_not_healthy(engine: str) -> None:
    questions = {"kafka": KAFKA_QUESTION, "cassandra": CASSANDRA_QUESTION, "s3": S3_QUESTION}
    assert not asked(engine, questions.get(engine, COCKROACHDB_QUESTION), b"")
