"""What Node's own runner tests of the page."""

import subprocess
from pathlib import Path

import pytest

from tests.javascript.node import NODE

pytestmark = pytest.mark.slow

MODULES = sorted(Path(__file__).parent.glob("*.test.mjs"))


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.name)
def test_in_node(module: Path) -> None:
    done = subprocess.run(
        [NODE, "--test", "--test-timeout=30000", str(module)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert "tests 0" not in done.stdout
