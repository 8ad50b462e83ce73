"""`chat4all ready`: for health checks of containers, which have no other program to ask with."""

import http.client
import json
import sys

import click

ANSWER_SECONDS = 5.0
"""/health/ready itself gives each part 2 s."""


@click.command()
@click.option("--port", type=int, default=8000, show_default=True, help="The service's port.")
def ready(port: int) -> None:
    """Ask the service on a port of this machine whether it has all that it needs.

    The exit status is 1 when it has not, or does not answer.
    """
    missed = _missed(port)
    click.echo("ready" if not missed else "; ".join(missed))
    if missed:
        sys.exit(1)


def _missed(port: int) -> list[str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=ANSWER_SECONDS)
    try:
        connection.request("GET", "/health/ready")
        parts = json.load(connection.getresponse())["dependencies"]
        return [f"{name}: {part['error']}" for name, part in parts.items() if part["error"]]
    except (OSError, http.client.HTTPException) as error:
        return [f"port {port} does not answer: {error}"]
    except (ValueError, KeyError, TypeError, AttributeError):
        return [f"port {port} does not answer as Chat4All does"]
    finally:
        connection.close()
