"""Serving until a signal: the process ends, whatever it is waiting for."""

import signal
import subprocess
import sys

import pytest

STUCK = """
import asyncio, time
from chat4all.http.server.serving import Server, listening, serve

async def app(scope, receive, send):
    pass

async def main():
    with listening("127.0.0.1", 0, "--port") as listener:
        works = asyncio.get_running_loop().create_future()
        started = lambda: print("started", flush=True)
        await serve([Server(app, listener)], works, started, end_seconds=0.5)
        # As a library that waits for its server: neither the loop nor the interpreter can end it.
        await asyncio.to_thread(time.sleep, 600)

asyncio.run(main())
"""


@pytest.mark.slow
def test_what_never_answers_does_not_keep_a_process_from_its_end() -> None:
    """Mutant: a stop that waits for all that is under way."""
    with subprocess.Popen([sys.executable, "-c", STUCK], stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"started\n"
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0
        finally:
            process.kill()
