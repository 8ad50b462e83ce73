"""How many bytes the bodies of requests may have: all that their fields allow, however JSON has it.

JSON may write any character as an escape, and Python's encoder writes all but ASCII so.
"""

from chat4all.domain.kinds import MENTIONS_MAX, PAYLOAD_MAX
from chat4all.domain.messages import CONTENT_MAX
from chat4all.domain.people import (
    MEMBERS_MAX,
    NOTE_KEY_MAX,
    NOTE_MAX,
    NOTES_MAX,
    TITLE_MAX,
    USERNAME_MAX,
)

CHARACTER_MAX = 12
r"""Bytes of a character: two escapes of six, as in `"\ud83c\udf89"`. UTF-8 has four at most."""

BYTE_MAX = 6
r"""Bytes of JSON for one of UTF-8: one escape, as in `"\u0041"`."""

_AROUND = 8
"""Bytes around each text of a list or an object: quotes, a comma or colon, a line's indentation."""

_OTHER = 1024
"""Bytes of everything else in a body: ids, the names of fields, spaces."""


def _whole_kib(size: int) -> int:
    return -(-size // 1024) * 1024


BODY_MAX = 64 * 1024
"""Of a route that does not say otherwise."""

MESSAGE_BODY_MAX = _whole_kib(
    CHARACTER_MAX * CONTENT_MAX
    + BYTE_MAX * PAYLOAD_MAX
    + MENTIONS_MAX * (CHARACTER_MAX * USERNAME_MAX + _AROUND)
    + _OTHER
)
"""Where a message is sent or edited."""

# Usernames are ASCII, which no encoder escapes.
GROUP_BODY_MAX = _whole_kib(
    MEMBERS_MAX * (USERNAME_MAX + _AROUND)
    + NOTES_MAX * (CHARACTER_MAX * (NOTE_KEY_MAX + NOTE_MAX) + 2 * _AROUND)
    + CHARACTER_MAX * TITLE_MAX
    + _OTHER
)
"""Where a conversation is created or changed."""
