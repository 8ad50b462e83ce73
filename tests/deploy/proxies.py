"""Caddy and nginx with the samples in `deploy/`, on ports and with certificates of a test's own."""

import re
import socket
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.faults.running import environment, free_ports, until

NAME = "localhost"
CADDYFILE = Path("deploy/caddy/Caddyfile").absolute()
NGINX = Path("deploy/nginx/chat4all.conf")


@dataclass(frozen=True)
class Proxy:
    """A proxy that serves `https://localhost:PORT`."""

    port: int
    context: ssl.SSLContext

    @property
    def url(self) -> str:
        return f"https://{NAME}:{self.port}"

    def connect(self) -> ssl.SSLSocket:
        """Return a connection on which HTTP/1.1 is spoken."""
        plain = socket.create_connection(("127.0.0.1", self.port), timeout=10)
        return self.context.wrap_socket(plain, server_hostname=NAME)

    def serves(self) -> bool:
        """Say whether it has its certificate."""
        try:
            self.connect().close()
        except OSError:
            return False
        return True


@contextmanager
def caddy(folder: Path, upstream: int) -> Iterator[Proxy]:
    """Run Caddy; it makes its certificate itself, and puts it nowhere but into its folder."""
    port, plain = free_ports(2)
    options = ["skip_install_trust", "admin off", f"https_port {port}", f"http_port {plain}"]
    configuration = folder / "Caddyfile"
    configuration.write_text("\n".join(["{", *options, "}", f"import {CADDYFILE}", ""]))
    variables = {
        "SITE": f"{NAME}:{port}",
        "GATEWAY": f"127.0.0.1:{upstream}",
        "XDG_DATA_HOME": str(folder / "data"),
        "XDG_CONFIG_HOME": str(folder / "config"),
    }
    command = ["caddy", "run", "--config", str(configuration), "--adapter", "caddyfile"]
    authority = folder / "data/caddy/pki/authorities/local/root.crt"
    with _started(command, folder, port, environment() | variables):
        until(authority.exists)
        proxy = Proxy(port, ssl.create_default_context(cafile=authority))
        until(proxy.serves)
        yield proxy


@contextmanager
def nginx(folder: Path, upstream: int) -> Iterator[Proxy]:
    """Run nginx with the sample, in which ports, name and certificate are replaced."""
    port, plain = free_ports(2)
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    _certify(certificate, key)
    sample = NGINX.read_text()
    for there, here in {
        r"127\.0\.0\.1:8000": f"127.0.0.1:{upstream}",
        r"listen 443 ": f"listen 127.0.0.1:{port} ",
        r"listen 80;": f"listen 127.0.0.1:{plain};",
        r"chat\.example\.com;": f"{NAME};",
        r"/etc/letsencrypt/\S+/fullchain\.pem": str(certificate),
        r"/etc/letsencrypt/\S+/privkey\.pem": str(key),
    }.items():
        sample, count = re.subn(there, here, sample)
        assert count, there
    (folder / "sample.conf").write_text(sample)
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    paths = "\n".join(f"{kind}_temp_path {folder}/{kind};" for kind in kinds)
    (folder / "nginx.conf").write_text(
        f"daemon off; pid {folder}/pid; error_log {folder}/log; events {{}}\n"
        f"http {{ access_log off;\n{paths}\ninclude {folder}/sample.conf; }}\n"
    )
    command = ["nginx", "-p", str(folder), "-c", str(folder / "nginx.conf")]
    with _started(command, folder, port, environment()):
        yield Proxy(port, ssl.create_default_context(cafile=certificate))


def _certify(certificate: Path, key: Path) -> None:
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1"]
    names = ["-subj", f"/CN={NAME}", "-addext", f"subjectAltName=DNS:{NAME}"]
    files = ["-out", str(certificate), "-keyout", str(key)]
    subprocess.run([*command, *names, *files], check=True, capture_output=True, timeout=30)


@contextmanager
def _started(
    command: list[str], folder: Path, port: int, variables: dict[str, str]
) -> Iterator[None]:
    path = f"{variables.get('PATH', '')}:/usr/sbin"
    with (folder / "output").open("wb") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=output, env=variables | {"PATH": path}
        )

    def listens() -> bool:
        assert process.poll() is None, (folder / "output").read_text()
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    try:
        until(listens)
        yield
    finally:
        process.terminate()
        process.wait(30)
