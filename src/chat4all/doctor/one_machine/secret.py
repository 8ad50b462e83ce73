"""The check of the secret that signs tokens."""

from collections.abc import Iterator

from chat4all.adapters.crypto import check_secret, load_or_make_secret
from chat4all.doctor.findings import Finding, Status
from chat4all.doctor.one_machine.installation import OneMachine
from chat4all.domain.errors import StartRefused


def secret_key(machine: OneMachine) -> Iterator[Finding]:
    """Check that the secret that signs tokens is long enough, and secret."""
    path = machine.folder / "secret-key"
    try:
        if machine.settings.secret_key is not None:
            check_secret(machine.settings.secret_key.get_secret_value().encode())
        elif path.exists():
            load_or_make_secret(path)
        elif machine.has_data:
            yield Finding(
                Status.WARNING,
                f"there is no {path}",
                "nothing, if the server has SECRET_KEY set; else the next start makes another, and "
                "everybody signs in again",
            )
            return
        else:
            return
    except StartRefused as refused:
        yield Finding(Status.PROBLEM, str(refused))
        return
    yield Finding(Status.OK, "kept" if machine.settings.secret_key is None else "set by SECRET_KEY")
