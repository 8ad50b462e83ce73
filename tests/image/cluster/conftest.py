import uuid
from collections.abc import Iterator

import pytest

from tests.image.cluster.containers import up
from tests.image.conftest import IMAGE, Machine
from tests.image.people import Person


@pytest.fixture(scope="package")
def cluster(machine: Machine) -> Iterator[Machine]:
    told = machine.docker.compose("build")
    # All of it is cached: what is counted here is how often it is built for one file.
    assert told.count(f"Successfully tagged {IMAGE}") == 1, told
    try:
        up(machine)
        yield machine
    finally:
        machine.docker.compose("down", "--volumes")
    assert machine.containers == []
    assert machine.docker.run("volume", "ls", "--quiet") == ""


@pytest.fixture(scope="package")
def people(cluster: Machine) -> tuple[Person, Person]:
    tag = uuid.uuid4().hex[:8]
    return Person(f"ana-{tag}"), Person(f"bruno-{tag}")
