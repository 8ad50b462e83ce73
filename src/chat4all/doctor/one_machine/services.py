"""Checks of the services while a process runs, and of their ports while none does."""

import socket
from collections.abc import Iterator
from http import HTTPStatus

from chat4all.doctor.findings import Finding, Status
from chat4all.doctor.http_requests import get, reason_of
from chat4all.doctor.one_machine.installation import OneMachine
from chat4all.operations.addresses import local_address
from chat4all.wire.health import decode_health, decode_readiness


def services(machine: OneMachine) -> Iterator[Finding]:
    """Check that gateway and metadata service answer and are ready, while a process runs."""
    if not machine.held:
        return
    for name, port, _ in _services(machine):
        where = f"the {name} on {_address(machine.settings.host)}:{port}"
        try:
            alive, body = _get(machine, port, "/health")
            decode_health(body)
            if alive != HTTPStatus.OK:
                raise ValueError
            _, body = _get(machine, port, "/health/ready")
            failing = decode_readiness(body).failing()
        except OSError as no_answer:
            reason = reason_of(no_answer)
            yield Finding(
                Status.PROBLEM,
                f"a process has the data folder, but {where} does not answer ({reason})",
                "if it was started with another --host, --port or --metadata-port, give them here "
                "too; else see its log",
            )
        except ValueError:
            yield Finding(
                Status.PROBLEM,
                f"{where} does not answer as Chat4All does",
                "another service may have that port: give the options that Chat4All was started "
                "with here too",
            )
        else:
            for dependency, health in failing.items():
                yield Finding(
                    Status.PROBLEM,
                    f"{where} misses {dependency}: {health.error}",
                    "see docs/operations/troubles.md, Health",
                )
            if not failing:
                yield Finding(Status.OK, f"{where} is ready")


def ports(machine: OneMachine) -> Iterator[Finding]:
    """Check that the ports are free, while no process holds the folder."""
    if machine.held:
        return
    host = machine.settings.host
    for name, port, option in _services(machine):
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


def _services(machine: OneMachine) -> tuple[tuple[str, int, str], ...]:
    return (
        ("gateway", machine.settings.port, "--port"),
        ("metadata service", machine.settings.metadata_port, "--metadata-port"),
    )


def _address(host: str) -> str:
    here = local_address(host)
    return f"[{here}]" if ":" in here else here


def _get(machine: OneMachine, port: int, path: str) -> tuple[int, bytes]:
    return get(f"http://{_address(machine.settings.host)}:{port}{path}")
