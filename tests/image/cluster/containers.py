"""The containers of `docker-compose.yml`: started, looked at, and moved."""

from collections.abc import Iterator
from contextlib import contextmanager

from engines.packages import say
from tests.compose import SERVICES
from tests.faults.running import until
from tests.image.conftest import IMAGE, Machine
from tests.image.measuring import timed

STAYING = [name for name, service in SERVICES.items() if "test" in service["healthcheck"]]
HEALTHY_SECONDS = 180
FOUND_AGAIN_SECONDS = 60


def up(machine: Machine) -> None:
    """Start all, and wait until every container that stays is healthy."""
    with timed("docker-compose up"):
        try:
            machine.docker.compose("up", "--detach")
        except AssertionError as failed:
            failed.add_note(machine.docker.compose("logs", "--tail=20", "migrate", "secrets"))
            raise
    with timed("until all are healthy"):
        until(lambda: not unhealthy(machine), HEALTHY_SECONDS)


def unhealthy(machine: Machine) -> set[str]:
    shown = '{{index .Config.Labels "com.docker.compose.service"}} {{.State.Health.Status}}'
    services = machine.docker.compose("ps", "--quiet", *STAYING).split()
    states = machine.docker.run("inspect", "--format", shown, *services).splitlines()
    return set(STAYING) - {state.removesuffix(" healthy") for state in states}


def inspected(machine: Machine, service: str, shown: str) -> str:
    """Return what `docker inspect` says of a service's container."""
    container = machine.docker.compose("ps", "--quiet", service)
    return machine.docker.run("inspect", "--format", shown, container)


def address(machine: Machine, service: str) -> str:
    return inspected(machine, service, "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}")


def starts(machine: Machine, service: str) -> tuple[str, str]:
    """Return when its container was started, and how often it was restarted by itself."""
    started, restarts = inspected(
        machine, service, "{{.State.StartedAt}} {{.RestartCount}}"
    ).split()
    return started, restarts


@contextmanager
def moved(machine: Machine, service: str) -> Iterator[None]:
    """Have a service's container made anew, healthy at another address."""
    before = address(machine, service)
    machine.docker.compose("rm", "--stop", "--force", service)
    # Whoever comes next gets the address that is free now.
    network = machine.docker.run("network", "ls", "--quiet", "--filter", "name=chat4all_net")
    waits = ("--entrypoint", "python", IMAGE, "-c", "import signal; signal.pause()")
    taking = machine.docker.run("run", "--rm", "--detach", "--network", network, *waits)
    try:
        machine.docker.compose("up", "--detach", service)
        assert address(machine, service) != before
        until(lambda: service not in unhealthy(machine), HEALTHY_SECONDS)
        yield
    finally:
        machine.docker.run("rm", "--force", taking)


def say_memory(machine: Machine) -> None:
    """Tell what every container takes."""
    shown = "{{.Name}}: {{.MemUsage}}, {{.CPUPerc}}"
    for line in machine.docker.run("stats", "--no-stream", "--format", shown).splitlines():
        say(line)
