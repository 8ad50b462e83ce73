"""The images that others begin with, made from Debian's packages: nothing comes from a registry."""

import ast
import hashlib
import io
import ssl
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from engines import cassandra, golang, kafka, packages
from tests.image.daemon import Docker

RELEASE, MIRROR = "bookworm", "http://deb.debian.org/debian"
STANDINS = Path(__file__).with_name("standins")
AUTHORITIES = "/etc/ssl/certs/ca-certificates.crt"
# What says where packages come from, and how. A folder of this machine is none in a container.
PIP_OPTIONS = {"index-url", "extra-index-url", "trusted-host", "proxy", "timeout"}
UNPACKED_WITHOUT = ("/usr/share/man/*", "/usr/share/doc/*", "/usr/share/locale/*")


@dataclass(frozen=True)
class Base:
    """What an image is made of."""

    image: str
    packages: Sequence[str]
    essential: Sequence[str] = ()
    """Commands between Debian's essential packages and these; `$1` is the root."""
    customize: Sequence[str] = ()
    """Commands after all packages."""
    files: Mapping[str, bytes] = field(default_factory=dict)


def python() -> Base:
    """Return what stands in for `python:3.11-slim-bookworm`: Debian 12 has that Python.

    It trusts whom this machine trusts, and takes packages from where this machine's pip does.
    """
    return Base(
        "python:3.11-slim-bookworm",
        ("python3", "python3-venv", "ca-certificates"),
        customize=('ln -s python3 "$1/usr/bin/python"',),
        files={AUTHORITIES: _authorities(), "/etc/pip.conf": _pip_configuration().encode()},
    )


ENGINES = Base(
    "engines-base",
    ("openjdk-17-jre-headless", "postgresql", "python3", "busybox"),
    essential=(
        # Their packages' scripts count on folders of manuals; and no server of Debian's is wanted.
        'mkdir -p "$1"/usr/share/man/man1 "$1"/usr/share/man/man7 "$1"/etc/postgresql-common',
        'echo create_main_cluster = false > "$1"/etc/postgresql-common/createcluster.conf',
    ),
    customize=('ln -s busybox "$1/usr/bin/wget"',),
)


def provide(docker: Docker, base: Base) -> None:
    """Make an image unless it is there, made of the same."""
    recipe = repr((base, _mirror())).encode()
    # Under another name as well, which says what it was made of.
    made = f"chat4all-base:{hashlib.sha256(recipe).hexdigest()[:12]}"
    if not docker.has(made):
        packages.say(f"{base.image}: making a stand-in from Debian's packages (once) ...")
        with tempfile.TemporaryDirectory() as folder:
            uploads = []
            for number, (path, content) in enumerate(base.files.items()):
                (file := Path(folder) / str(number)).write_bytes(content)
                uploads.append(f"upload {file} {path}")
            command = [
                *("mmdebstrap", "--quiet", "--variant=minbase"),
                f"--include={','.join(base.packages)}",
                *(f"--dpkgopt=path-exclude={path}" for path in UNPACKED_WITHOUT),
                *(f"--essential-hook={hook}" for hook in base.essential),
                *(f"--customize-hook={hook}" for hook in (*base.customize, *uploads)),
                '--customize-hook=rm -rf "$1"/var/cache/apt/* "$1"/var/lib/apt/lists/*',
                *(RELEASE, "-", _mirror()),
            ]
            with subprocess.Popen(command, stdout=subprocess.PIPE) as packing:
                changes = ("--change", "ENV LANG=C.UTF-8", "--change", 'CMD ["python3"]')
                docker.run("import", *changes, "-", made, source=packing.stdout)
        assert packing.returncode == 0, "mmdebstrap failed"
    docker.run("tag", made, base.image)


def build_standins(docker: Docker, images: Mapping[str, str]) -> None:
    """Build the engines' stand-ins, under the names that `images` gives by engine."""
    with tempfile.TemporaryFile() as context:
        with tarfile.open(fileobj=context, mode="w", format=tarfile.GNU_FORMAT) as tar:
            for file in sorted(STANDINS.iterdir()):
                tar.add(file, file.name)
            for name in ("kafka", "cassandra"):
                tar.add(packages.jars(name), f"{name}-jars")
            tar.add(golang.built("versitygw"), "versitygw")
            tar.add(cassandra.JVM_OPTIONS, cassandra.JVM_OPTIONS.name)
            _add(tar, "logback.xml", cassandra.LOGBACK)
            _add(tar, "log4j2.properties", kafka.LOG4J)
        for engine, image in images.items():
            context.seek(0)
            docker.run("build", "--target", engine, "--tag", image, "-", source=context)


def _add(tar: tarfile.TarFile, name: str, text: str) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(text)
    entry.mode = 0o644
    tar.addfile(entry, io.BytesIO(text.encode("ascii")))


def _mirror() -> str:
    """Return where this machine's apt gets that release from."""
    command = ["apt-get", "indextargets", "--format", "$(CODENAME) $(REPO_URI)"]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found = [line.split()[1] for line in told.splitlines() if line.startswith(f"{RELEASE} ")]
    return found[0] if found else MIRROR


def _authorities() -> bytes:
    """Return the certificates that this machine trusts; SSL_CERT_FILE may name them."""
    named = _pip_options().get("cert") or ssl.get_default_verify_paths().cafile or AUTHORITIES
    return Path(named).read_bytes()


def _pip_configuration() -> str:
    lines = [f"{name} = {value}\n" for name, value in _pip_options().items() if name in PIP_OPTIONS]
    return "".join(["[global]\n", f"cert = {AUTHORITIES}\n", *lines])


def _pip_options() -> dict[str, str]:
    """Return what pip's files and variables say on this machine, as `pip config list` has it."""
    command = [sys.executable, "-m", "pip", "config", "list"]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found = {}
    for line in told.splitlines():
        name, _, value = line.partition("=")
        option = name.rpartition(".")[2].removeprefix("default-")
        found[option] = " ".join(str(ast.literal_eval(value)).split())
    return found
