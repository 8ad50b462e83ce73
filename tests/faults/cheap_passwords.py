"""Chat4All as it is, except that a password costs next to nothing, not a quarter of a second.

Hundreds of tests start it, each makes the demonstration users and signs in.
"""

import bcrypt

from chat4all.cli import main

_gensalt = bcrypt.gensalt


def cheap_salt(rounds: int = 12, prefix: bytes = b"2b") -> bytes:
    """Return a salt with the fewest rounds that there are."""
    return _gensalt(min(rounds, 4), prefix)


if __name__ == "__main__":
    bcrypt.gensalt = cheap_salt
    main()
