import os
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from engines import packages
from tests.compose import ENGINES, SERVICES
from tests.image import bases
from tests.image.daemon import Docker, inside, mounts, namespace, namespaces, running
from tests.image.measuring import timed

IMAGE = SERVICES["secrets"]["image"]
TOOLS = [
    packages.program("dockerd", "docker.io"),
    packages.program("docker", "docker.io"),
    packages.program("docker-compose", "docker-compose"),
    packages.program("mmdebstrap", "mmdebstrap"),
    packages.program("ip", "iproute2"),
    packages.program("nsenter", "util-linux"),
]


@dataclass(frozen=True)
class Machine:
    """A daemon that has the images, and the network that its containers publish ports in."""

    docker: Docker
    network: str

    @property
    def containers(self) -> list[str]:
        return self.docker.run("ps", "--all", "--quiet").split()


@pytest.fixture(scope="session")
def machine() -> Iterator[Machine]:
    """Build the image and the stand-ins; afterwards nothing is left but the folder of images."""
    assert os.geteuid() == 0, "a Docker daemon needs root"
    packages.tools(*TOOLS)
    folder = packages.cache() / "images"
    folder.mkdir(parents=True, exist_ok=True)
    with running(folder / "docker", network=None) as docker:
        _tidy(docker)
        with timed("the bases"):
            bases.provide(docker, bases.python())
            bases.provide(docker, bases.ENGINES)
        with timed("the engines' stand-ins"):
            bases.build_standins(docker, {name: SERVICES[name]["image"] for name in ENGINES})
        with timed("the image"):
            docker.run("build", "--network", "host", "--tag", IMAGE, ".")
        size = int(docker.run("image", "inspect", "--format", "{{.Size}}", IMAGE))
        packages.say(f"size of the image: {size / 1e6:.0f} MB")
    with namespace() as network, running(folder / "docker", network=network) as docker:
        found = Machine(docker, network)
        try:
            with inside(network):
                yield found
        finally:
            left = found.containers
            _tidy(docker)
        assert left == []
    assert network not in namespaces()
    assert mounts(folder) == []


def _tidy(docker: Docker) -> None:
    """Remove what a run that was killed has left, and layers that no run has used for a week."""
    if containers := docker.run("ps", "--all", "--quiet").split():
        docker.run("rm", "--force", *containers)
    docker.run("volume", "prune", "--force")
    docker.run("network", "prune", "--force")
    docker.run("image", "prune", "--force", "--filter", "until=168h")
