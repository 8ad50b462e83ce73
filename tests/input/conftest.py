from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.running import Running


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One product for a module, so that each attack meets the leftovers of the previous ones."""
    folder: Path = tmp_path_factory.mktemp("input")
    found = Running(folder).start()
    yield found
    found.kill()
