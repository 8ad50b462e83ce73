"""`chat4all ready`: a health check for containers, which have no HTTP client."""

import http.client
import sys
from http import HTTPStatus

import click

from chat4all.concurrency.output import answer_in_background, discard_output
from chat4all.operations.addresses import local_address
from chat4all.operations.installation import settings_from
from chat4all.wire.health import decode_readiness

ANSWER_SECONDS = 5.0
"""/health/ready itself waits 2 s for each dependency."""


@click.command()
@click.option(
    "--port",
    type=click.IntRange(1, 65535),
    help="The port of the gateway, or of another service.  [env var: CHAT4ALL_PORT; default: 8000]",
)
@click.option(
    "--host",
    envvar="CHAT4ALL_HOST",
    help="The address on which it listens.  [env var: CHAT4ALL_HOST; default: 127.0.0.1]",
)
def ready(port: int | None, host: str | None) -> None:
    """Ask the service on a port of this machine whether it has all that it needs.

    The exit status is 1 when it has not, or does not answer. What is wrong but does not keep it
    from its work is told, and is none of that.
    """
    address = local_address(host or "127.0.0.1")
    is_ready, errors = _query(address, settings_from().port if port is None else port)
    # Who checks health asks for the status: a service is none the worse for a full disk here.
    answer_in_background()
    try:
        click.echo("; ".join([*["ready"] * is_ready, *errors]))
    except OSError:  # it is not this process's own
        discard_output()
    if not is_ready:
        sys.exit(1)


def _query(address: str, port: int) -> tuple[bool, list[str]]:
    """Return whether it is ready, and the errors that it reports."""
    connection = http.client.HTTPConnection(address, port, timeout=ANSWER_SECONDS)
    try:
        connection.request("GET", "/health/ready")
        answer = connection.getresponse()
        failing = decode_readiness(answer.read()).failing()
        errors = [f"{name}: {part.error}" for name, part in failing.items()]
        return answer.status == HTTPStatus.OK, errors
    except (OSError, http.client.HTTPException) as error:
        return False, [f"port {port} does not answer: {error}"]
    except ValueError:
        return False, [f"port {port} does not answer as Chat4All does"]
    finally:
        connection.close()
