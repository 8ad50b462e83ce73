"""What Node's own runner tests of the JavaScript client."""

import subprocess
from pathlib import Path

import pytest

from tests.javascript.node import NODE

pytestmark = pytest.mark.slow

HERE = Path(__file__).parent
MODULES = sorted(HERE.glob("*.test.mjs"))


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.name)
def test_in_node(module: Path) -> None:
    options = ["--test", "--test-force-exit", "--test-timeout=40000"]
    done = subprocess.run(
        [NODE, *options, str(module)], capture_output=True, text=True, timeout=55, check=False
    )
    assert done.returncode == 0, done.stdout
    assert "tests 0" not in done.stdout
