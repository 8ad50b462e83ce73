"""The check of the secret that signs tokens."""

from collections.abc import Iterator

from chat4all.doctor.findings import Finding, Status
from chat4all.doctor.one_machine.installation import OneMachine
from chat4all.processes.keys import tokens_in_folder


def secret_key(machine: OneMachine) -> Iterator[Finding]:
    """Check that the keys that sign tokens, and that are accepted, are long enough and secret."""
    path, keys = machine.folder / "secret-key", machine.settings.keys
    tokens_in_folder(keys, machine.folder, keep=False)
    if keys.secret is not None:
        yield Finding(Status.OK, "set by SECRET_KEY")
    elif path.exists():
        yield Finding(Status.OK, "kept")
    elif machine.has_data:
        yield Finding(
            Status.WARNING,
            f"there is no {path}",
            "nothing, if the server has SECRET_KEY set; else the next start makes another, and "
            "everybody signs in again",
        )
