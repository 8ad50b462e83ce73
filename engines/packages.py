"""Where the engines' programs come from: Maven for the two in Java, Debian for tools; see `golang`.

Jars are kept in a cache folder outside the repository's history, one folder for each content of a
`poms/*.xml`; a second checkout can share it (CHAT4ALL_ENGINES).
"""

import contextlib
import fcntl
import functools
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from engines.server import Failed

HERE = Path(__file__).parent
JAVA_VERSION = "17"  # the newest that Cassandra 5.0 runs on
MAVEN_SECONDS = 600
APT_SECONDS = 900
STANDARD_ERROR = 2
POLICY = Path("/usr/sbin/policy-rc.d")
# Not in the cache folder: two checkouts with caches of their own share the machine.
APT_LOCK = Path("/run/lock/chat4all-engines-apt.lock")


def cache() -> Path:
    """Return the folder for jars, developer's data and the development secret."""
    return Path(os.environ.get("CHAT4ALL_ENGINES") or HERE.parent / ".engines").absolute()


def say(text: str) -> None:
    """Tell about progress. Standard output is for what a shell evaluates."""
    with contextlib.suppress(OSError):  # the terminal may be closed
        sys.stderr.write(f"{text}\n")  # in one piece: the servers tell at the same time
        sys.stderr.flush()


@contextlib.contextmanager
def locked(file: Path) -> Iterator[None]:
    """Hold a lock between processes; its end, also a killed holder's, frees it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def locked_or_failed(file: Path, text: str) -> Iterator[None]:
    """Hold a lock between processes; Failed with `text` when another one holds it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Failed(text) from None
        yield


def find_java() -> Path | None:
    """Return a `java` of the version that is needed."""
    homes = [Path(os.environ["JAVA_HOME"])] if os.environ.get("JAVA_HOME") else []
    if found := shutil.which("java"):
        homes.append(Path(found).resolve().parent.parent)
    homes += sorted(Path("/usr/lib/jvm").glob("*"))
    for home in homes:
        with contextlib.suppress(OSError):
            release = (home / "release").read_text()
            if f'JAVA_VERSION="{JAVA_VERSION}.' in release and (home / "bin/java").exists():
                return home / "bin/java"
    return None


def find_postgres() -> Path | None:
    """Return the folder with `postgres` and `initdb`, of the newest version that there is."""
    folders = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/postgres")]
    if found := shutil.which("postgres"):
        folders.append(Path(found).resolve().parent)
    complete = [folder for folder in folders if (folder / "initdb").exists()]
    return max(complete, key=lambda folder: (len(folder.parent.name), folder), default=None)


@dataclass(frozen=True, slots=True)
class Tool:
    """A program that Debian has, and how to find it; `service` is one that its package enables."""

    name: str
    package: str
    find: Callable[[], Path | None]
    service: str | None = None


def program(name: str, package: str, *, service: str | None = None) -> Tool:
    """Return the tool that is the program of this name."""

    def find() -> Path | None:
        # What an administrator runs may not be in a user's path.
        found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")
        return None if found is None else Path(found)

    return Tool(name, package, find, service)


JAVA = Tool("Java 17", "openjdk-17-jre-headless", find_java)
MAVEN = program("mvn", "maven")
POSTGRES = Tool("PostgreSQL", "postgresql", find_postgres, service="postgresql")


def tools(*wanted: Tool) -> list[Path]:
    """Return where the tools are, those that are missing installed where that is allowed.

    Failed, with the command to give, where it is not.
    """
    missing = [tool for tool in wanted if tool.find() is None]
    if missing:
        _install(missing)
    return [found for tool in wanted if (found := tool.find()) is not None]


@functools.cache
def java() -> Path:
    """Return `java`."""
    return tools(JAVA)[0]


def java_command(folder: Path, heap_mb: int) -> list[str]:
    """Return the beginning of a command line; what the process leaves lying is in `folder`."""
    temporary = folder / "temporary"
    shutil.rmtree(temporary, ignore_errors=True)  # a killed one has not tidied up
    temporary.mkdir()
    return [
        str(java()),
        f"-Xmx{heap_mb}m",
        "-XX:+UseSerialGC",
        "-XX:+ExitOnOutOfMemoryError",
        "-XX:-UsePerfData",
        f"-Djava.io.tmpdir={temporary}",
    ]


@functools.cache
def postgres() -> Path:
    """Return the folder with PostgreSQL's programs."""
    return tools(POSTGRES)[0]


@functools.cache
def jars(name: str) -> Path:
    """Return the folder with an engine's jars, fetched by Maven the first time."""
    pom = HERE / "poms" / f"{name}.xml"
    folder = cache() / f"{name}-{hashlib.sha256(pom.read_bytes()).hexdigest()[:12]}"
    if not folder.exists():
        with locked(cache() / "fetch.lock"):
            if not folder.exists():  # another one may have fetched it meanwhile
                _fetch(name, pom, folder)
    return folder


def _fetch(name: str, pom: Path, folder: Path) -> None:
    mvn, java_found = tools(MAVEN, JAVA)
    say(f"{name}: fetching it with Maven (once) ...")
    # A repository of its own: Maven's common one is not safe for two at once.
    with tempfile.TemporaryDirectory(prefix="fetch-", dir=cache()) as temporary:
        new = Path(temporary) / "jars"
        command = [
            str(mvn),
            *(
                "--quiet",
                "--batch-mode",
                "--strict-checksums",
                "--file",
                str(pom),
                "-Dstyle.color=never",
            ),
            f"-Dmaven.repo.local={temporary}/repository",
            *("dependency:copy-dependencies", "-DincludeScope=runtime", f"-DoutputDirectory={new}"),
        ]
        home = {"JAVA_HOME": str(java_found.parent.parent)}
        with explained(f"{name} could not be fetched with Maven; is the network there?"):
            run(command, MAVEN_SECONDS, os.environ | home)
        new.rename(folder)


def _install(missing: Sequence[Tool]) -> None:
    names = ", ".join(tool.name for tool in missing)
    command = f"apt-get install {' '.join(tool.package for tool in missing)}"
    apt = shutil.which("apt-get")
    if apt is None or os.geteuid() != 0:
        how = f"run: sudo {command}" if apt else f"on Debian and Ubuntu: {command}"
        raise Failed(f"{names} missing; {how}")
    say(f"installing {names} (once) ...")
    options = ["-qq", "-o", "DPkg::Lock::Timeout=300"]
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    with (
        locked(APT_LOCK),
        explained(f"{names} missing, and could not be installed: {command}"),
        _starting_no_services(),
    ):
        run([apt, *options, "update"], APT_SECONDS, environment)
        packages = [tool.package for tool in missing]
        run(
            [apt, *options, "install", "--yes", "--no-install-recommends", *packages],
            APT_SECONDS,
            environment,
        )
        _disable([tool.service for tool in missing if tool.service is not None], environment)
    if absent := [tool.name for tool in missing if tool.find() is None]:
        raise Failed(f"{', '.join(absent)} was not found after: {command}")


def _disable(services: Sequence[str], environment: dict[str, str]) -> None:
    """Keep services that were just installed from starting with the machine, and taking ports."""
    systemctl = shutil.which("systemctl")
    if services and systemctl is not None:
        run([systemctl, "--quiet", "disable", *services], APT_SECONDS, environment)


@contextlib.contextmanager
def _starting_no_services() -> Iterator[None]:
    """Keep packages from starting servers of their own on this machine; Debian's way to say so."""
    if POLICY.exists():
        yield
        return
    POLICY.write_text("#!/bin/sh\nexit 101\n")
    try:
        POLICY.chmod(0o755)
        yield
    finally:
        POLICY.unlink()


def run(
    command: Sequence[str],
    seconds: float,
    environment: dict[str, str],
    *,
    folder: Path | None = None,
) -> None:
    """Run to the end; what it prints is progress."""
    subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=STANDARD_ERROR,
        stderr=STANDARD_ERROR,
        cwd=folder,
        env=environment,
        timeout=seconds,
        check=True,
    )


@contextlib.contextmanager
def explained(text: str) -> Iterator[None]:
    """Raise Failed with this text in place of what a program or the system says."""
    try:
        yield
    except (subprocess.SubprocessError, OSError) as error:
        raise Failed(text) from error
