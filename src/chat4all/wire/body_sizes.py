"""How many bytes the bodies of requests may have: all that their fields allow, however JSON has it.

JSON may write any character as an escape, and Python's encoder writes all but ASCII so. Texts are
measured in normal form C, where a letter and its accents are one character; they may be sent as
characters of their own, as macOS has them.
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
from chat4all.domain.text import TIMES_LONGER

ESCAPE = 6
r"""Bytes of an escape, as in `"\u0041"`. A character beyond U+FFFF takes two of them."""

CHARACTER_MAX = max(2, TIMES_LONGER) * ESCAPE
r"""Bytes of a character, as in `"\u03b1\u0313\u0300\u0345"`."""

BYTE_MAX = 9
r"""Bytes of JSON for one of UTF-8, of which the character `"\u0055\u0308\u0304"` takes two."""

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
    + MENTIONS_MAX * (ESCAPE * USERNAME_MAX + _AROUND)
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
