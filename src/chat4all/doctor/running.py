"""What `chat4all doctor` looks at where a process runs, or should."""

import asyncio
import json
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

from chat4all.adapters.crypto import BcryptPasswords
from chat4all.adapters.sql import Database, SqlUsers
from chat4all.doctor.checks import Finding, Installation, Status
from chat4all.domain.errors import Unavailable
from chat4all.settings import is_loopback
from chat4all.usecases.demonstrating import demo_passwords_stand

ANSWER_SECONDS = 5.0
"""/health/ready itself gives each part 2 s."""


def services(it: Installation) -> Iterator[Finding]:
    """Look whether gateway and metadata answer, and what they miss, while a process is there."""
    if not it.held:
        return
    for name, port, _ in _services(it):
        where = f"the {name} on {_address(it.settings.host)}:{port}"
        try:
            alive, _ = _get(it, port, "/health")
            _, ready = _get(it, port, "/health/ready")
            if alive != 200:
                raise ValueError
            missed = {
                part: dependency["error"]
                for part, dependency in ready["dependencies"].items()
                if dependency["error"] is not None
            }
        except OSError as error:
            yield Finding(
                Status.PROBLEM,
                f"a process has the data folder, but {where} does not answer ({reason_of(error)})",
                "if it was started with another --host, --port or --metadata-port, give them here "
                "too; else see its log",
            )
        except (ValueError, KeyError, TypeError, AttributeError):
            yield Finding(
                Status.PROBLEM,
                f"{where} does not answer as Chat4All does",
                "another service may have that port: give the options that Chat4All was started "
                "with here too",
            )
        else:
            for part, why in missed.items():
                yield Finding(
                    Status.PROBLEM,
                    f"{where} misses {part}: {why}",
                    "see docs/operations/troubles.md, Health",
                )
            if not missed:
                yield Finding(Status.OK, f"{where} is ready")


def ports(it: Installation) -> Iterator[Finding]:
    """Look whether the ports are free, while no process has the folder."""
    if it.held:
        return
    host = it.settings.host
    for name, port, option in _services(it):
        try:
            family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
            socket.create_server((host, port), family=family).close()
        except OSError as error:
            yield Finding(
                Status.PROBLEM,
                f"the {name} cannot listen on {host}:{port} ({error.strerror})",
                f"stop what uses it, or choose another with --host or {option}",
            )
        else:
            yield Finding(Status.OK, f"{host}:{port} is free for the {name}")


def demonstration_passwords(it: Installation) -> Iterator[Finding]:
    """Look whether all the world could sign in with a password printed in the README."""
    path = it.folder / "metadata.db"
    if is_loopback(it.settings.host) or not path.is_file():
        return
    try:
        known = asyncio.run(_demonstration_passwords_stand(it))
    except Unavailable as error:
        yield Finding(Status.PROBLEM, f"cannot be checked: {error}")
        return
    if known:
        yield Finding(
            Status.PROBLEM,
            f"{it.folder} has the demonstration users, whose passwords everybody knows, and "
            f"{it.settings.host} can be reached from outside",
            "name another folder with --data, or listen on loopback only",
        )
    else:
        yield Finding(Status.OK, "nobody has one")


async def _demonstration_passwords_stand(it: Installation) -> bool:
    database, passwords = Database(it.folder / "metadata.db"), BcryptPasswords()
    try:
        return await demo_passwords_stand(SqlUsers(database), passwords)
    finally:
        passwords.close()
        await database.close()


def _services(it: Installation) -> tuple[tuple[str, int, str], ...]:
    return (
        ("gateway", it.settings.port, "--port"),
        ("metadata service", it.settings.metadata_port, "--metadata-port"),
    )


def _address(host: str) -> str:
    """Return where a service that listens on a host can be reached from here."""
    here = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - not to listen on
    return f"[{here}]" if ":" in here else here


# Whatever proxy is set for the world outside.
_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def _get(it: Installation, port: int, path: str) -> tuple[int, Any]:
    return get(f"http://{_address(it.settings.host)}:{port}{path}")


def get(url: str) -> tuple[int, Any]:
    """Return the status and the JSON of an answer; `OSError` or `ValueError` without one."""
    try:
        with _direct.open(url, timeout=ANSWER_SECONDS) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def reason_of(error: OSError) -> str:
    """Return why a request had no answer."""
    inner = error.reason if isinstance(error, urllib.error.URLError) else error
    return getattr(inner, "strerror", None) or str(inner)
