"""Whether a message that was to name a file does: nobody may have been there to note it."""

from typing import NamedTuple

from chat4all.domain.files import FileUse

CHECK_SECONDS = 600
"""How long after a message with a file was to be sent or deleted it is looked for in the store:
what is in the log of it is there by then (`APPEND_SECONDS`)."""

CHECK_AGAIN_SECONDS = 60
"""How long a use that was given to one process to check is not given to another."""

APPEND_SECONDS = 60.0
"""How long after it began a request may still append its record: one that a process did not get to
for longer is refused. So what is appended is in the log well before it is looked for."""


class DoubtfulUse(NamedTuple):
    """A use that is to be compared with the store.

    `check_at` tells this giving from others: what was noted of the use meanwhile counts.
    """

    use: FileUse
    check_at: int
    """Milliseconds since 1970."""
