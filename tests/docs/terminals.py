"""A terminal that somebody pastes commands into, and types a password."""

import os
import pty
import select
import subprocess
import time
from collections.abc import Mapping

SECONDS = 60.0

PROMPT = b"Password: "


def pasted(block: str, environment: Mapping[str, str], password: str) -> tuple[int, str]:
    """Return the exit status of a block of shell, and all that the terminal shows meanwhile."""
    master, slave = pty.openpty()
    try:
        process = subprocess.Popen(
            # A terminal that is opened first is the one of the session: `getpass` asks there.
            ["bash", "-e", "-c", f"exec <{os.ttyname(slave)}\n{block}"],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            env=environment,
        )
        os.close(slave)
        shown, deadline = b"", time.monotonic() + SECONDS
        answered = 0
        while chunk := _read(master, deadline):
            shown += chunk
            if shown.count(PROMPT) > answered:
                answered += 1
                os.write(master, password.encode() + b"\n")
        return process.wait(SECONDS), shown.decode().replace("\r\n", "\n")
    finally:
        os.close(master)


def _read(master: int, deadline: float) -> bytes:
    """Return what is shown next; nothing at the end."""
    assert select.select([master], [], [], max(0.0, deadline - time.monotonic()))[0], "it hangs"
    try:
        return os.read(master, 65536)
    except OSError:  # Linux says so when the last process has closed it
        return b""
