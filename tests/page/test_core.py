"""What Node's own runner tests of the page."""

import subprocess
from pathlib import Path

import pytest

from tests.javascript.node import NODE

pytestmark = pytest.mark.slow


def test_in_node() -> None:
    module = Path(__file__).parent / "core.test.mjs"
    done = subprocess.run(
        [NODE, "--test", "--test-timeout=30000", str(module)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert "tests 0" not in done.stdout
