"""`chat4all secrets`."""

from contextlib import AbstractContextManager
from pathlib import Path

import click

from chat4all.adapters.crypto import load_or_make_secret, next_to, rotate_secret
from chat4all.adapters.private_files import lock_folder, make_private_folder
from chat4all.domain.errors import CommandRefused

FILES = ("secret-key", "service-credential")
"""For SECRET_KEY_FILE and CHAT4ALL_SERVICE_CREDENTIAL_FILE."""


@click.command()
@click.argument("folder", type=Path)
@click.option("--prepare", is_flag=True, help="Make the key that will follow; see --rotate.")
@click.option(
    "--rotate",
    is_flag=True,
    help="Sign with another key. What was signed with the one before is accepted as well.",
)
def secrets(folder: Path, prepare: bool, rotate: bool) -> None:
    """Make a cluster's two secrets in FOLDER, readable by their owner only.

    What is there already stays: another one would sign everybody out. To change the key that signs
    tokens without that, use --prepare, start every gateway and metadata service anew, use --rotate,
    and start them anew once more. On one machine FOLDER is the data folder, and --rotate and a new
    start are enough.
    """
    key = folder / FILES[0]
    with _locked(folder):
        if not (prepare or rotate):
            for name in FILES:
                load_or_make_secret(folder / name)
        if prepare:
            load_or_make_secret(key)
            load_or_make_secret(next_to(key))
        if rotate:
            rotate_secret(key)
    click.echo(f"The secrets are in {folder}.")


def _locked(folder: Path) -> AbstractContextManager[None]:
    """Lock a folder, so that two commands at the same time create one secret."""
    try:
        make_private_folder(folder)
        return lock_folder(folder)
    except OSError as error:
        raise CommandRefused(f"{folder} cannot be used ({error.strerror})") from error
