"""The finding about dead letters, for either kind of installation."""

from chat4all.doctor.findings import Finding, Status


def dead_letters_finding(not_replayed: int) -> Finding:
    """Return the finding for a number of dead letters that were not replayed."""
    if not_replayed:
        return Finding(
            Status.WARNING,
            f"dead letters that were not replayed: {not_replayed}",
            "see `chat4all dead-letters list`",
        )
    return Finding(Status.OK, "none waits to be replayed")
