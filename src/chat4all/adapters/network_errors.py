"""Why there is no connection: the same words for the same cause, and no address in them."""

import os
import re
import socket

NOWHERE = "the name resolves to nothing"


def reason_of(error: OSError) -> str:
    """Return the cause of a connection that failed, for a sentence."""
    if isinstance(error, socket.gaierror):
        return NOWHERE
    if isinstance(error, TimeoutError):
        return "no answer in time"
    # With several addresses of one name asyncio puts all errors into the text of another one.
    named = re.search(r"\[Errno (\d+)\]", str(error))
    number = error.errno or (int(named[1]) if named else 0)
    return os.strerror(number) if number > 0 else "no connection"
