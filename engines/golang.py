"""Programs in Go, built from their published source, and the Go that builds them.

`go/NAME/go.mod` names the program and its version, `go.sum` the hash of every module that is in it.
Where no Go is new enough, the release is fetched from the same place: no package manager is needed.
"""

import functools
import hashlib
import os
import platform
import re
import shutil
import ssl
import stat
import subprocess
import tempfile
import urllib.request
import zipfile
from pathlib import Path

from engines import packages
from engines.packages import HERE, cache, locked, say
from engines.server import Failed

NEEDED = (1, 25)
RELEASE = "1.25.14"
# Of `golang.org/toolchain@v0.0.1-goRELEASE.linux-MACHINE.zip`.
TOOLCHAINS = {
    "amd64": "1bb543a7745d4c6e045a1bfdb4c4d5a0b05b71ee8b8ff72c0a351598b26991a4",
    "arm64": "eee0803776a2a3d42f0620d7b0156277350debb5d39c99a9b61c8b12108fd92c",
}
PLACES = ("/usr/local/go/bin/go",)
"""Where Go is beside the program's path, if it was installed as go.dev says."""
MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}
PROXY = "https://proxy.golang.org"  # where `GOPROXY` names no other
FETCH_SECONDS = 300
BUILD_SECONDS = 1_200
BLOCK = 1 << 20


@functools.cache
def built(name: str) -> Path:
    """Return a program, built the first time; Failed when that cannot be."""
    module = HERE / "go" / name
    content = b"".join((module / file).read_bytes() for file in ("go.mod", "go.sum"))
    folder = cache() / f"{name}-{hashlib.sha256(content).hexdigest()[:12]}"
    if not folder.exists():
        with locked(cache() / "fetch.lock"):
            if not folder.exists():  # another one may have built it meanwhile
                _build(name, module, folder)
    return folder / name


def find_go() -> Path | None:
    """Return a `go` on this machine that is new enough."""
    for found in (shutil.which("go"), *PLACES):
        if found is None or not Path(found).exists():
            continue
        ran = subprocess.run(
            [found, "env", "GOVERSION"],
            capture_output=True,
            text=True,
            check=False,
            env=os.environ | {"GOTOOLCHAIN": "local"},
        )
        version = re.match(r"go(\d+)\.(\d+)", ran.stdout)
        if version is not None and (int(version[1]), int(version[2])) >= NEEDED:
            return Path(found)
    return None


def _build(name: str, module: Path, folder: Path) -> None:
    say(f"{name}: building it with Go (once; it takes minutes) ...")
    with tempfile.TemporaryDirectory(prefix="fetch-", dir=cache()) as temporary:
        go = find_go() or toolchain(Path(temporary))
        new = Path(temporary) / "built"
        source = shutil.copytree(module, Path(temporary) / "module")
        program = re.findall(r"^tool (\S+)$", (module / "go.mod").read_text(), re.MULTILINE)
        # Read-only files in the module cache could not be removed.
        flags = "-mod=readonly -modcacherw -trimpath -buildvcs=false"
        environment = os.environ | {
            "GOTOOLCHAIN": "local",
            "GOFLAGS": flags,
            "GOPATH": f"{temporary}/path",
            "GOCACHE": f"{temporary}/cache",
            "GOENV": "off",
            "GOWORK": "off",
            "CGO_ENABLED": "0",  # no C compiler is needed
        }
        command = [str(go), "build", "-ldflags=-s -w", "-o", f"{new}/{name}", *program]
        with packages.explained(f"{name} could not be built with Go; is the network there?"):
            packages.run(command, BUILD_SECONDS, environment, folder=source)
        new.rename(folder)


def toolchain(into: Path) -> Path:
    """Fetch a release of Go, and return its `go`."""
    machine = MACHINES.get(platform.machine(), "")
    if machine not in TOOLCHAINS:
        raise Failed(f"Go {NEEDED[0]}.{NEEDED[1]} or newer is missing: install it from go.dev/dl")
    named = f"golang.org/toolchain@v0.0.1-go{RELEASE}.linux-{machine}"
    module, _, version = named.partition("@")
    say(f"Go {RELEASE}: fetching it (once; 65 MB) ...")
    archive = into / "go.zip"
    with packages.explained(
        f"Go {RELEASE} could not be fetched from {PROXY}; is the network there?"
    ):
        fetch(f"{PROXY}/{module}/@v/{version}.zip", archive, TOOLCHAINS[machine])
    with zipfile.ZipFile(archive) as content:
        content.extractall(into)
    folder = into / named
    for program in (*(folder / "bin").iterdir(), *(folder / "pkg" / "tool").rglob("*")):
        program.chmod(program.stat().st_mode | stat.S_IXUSR)  # the zip of a module has no modes
    return folder / "bin" / "go"


def proxy_of(setting: str) -> str:
    """Return the first address in a value of `GOPROXY`, or the public one."""
    named = [one for one in re.split(r"[,|]", setting) if one.startswith(("https://", "http://"))]
    return named[0].rstrip("/") if named else PROXY


def fetch(url: str, file: Path, sha256: str) -> None:
    """Fetch a file; Failed when it is not the one that is meant."""
    found = hashlib.sha256()
    with (
        urllib.request.urlopen(  # noqa: S310 - the address is the one above
            url, timeout=FETCH_SECONDS, context=ssl.create_default_context()
        ) as answer,
        file.open("wb") as output,
    ):
        while block := answer.read(BLOCK):
            found.update(block)
            output.write(block)
    if found.hexdigest() != sha256:
        raise Failed(f"{url} is not what it was: its SHA-256 is {found.hexdigest()}")
