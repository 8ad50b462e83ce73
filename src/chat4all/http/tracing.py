"""The trace that a request belongs to, as its caller gives it (W3C Trace Context)."""

import re

from starlette.types import Scope

from chat4all.domain.records import Headers

TRACEPARENT = "traceparent"

_NAME = TRACEPARENT.encode()
_VERSION_00 = re.compile(rb"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}\Z")


def trace_headers(scope: Scope) -> Headers:
    """Return the headers of a record that this request makes: its `traceparent`, if it is valid.

    Anything but a single valid header of version 00 is ignored, as the recommendation says.
    """
    for name, _ in scope["headers"]:
        if name == _NAME:
            break
    else:
        return ()  # the usual case, kept cheap
    values = [value for name, value in scope["headers"] if name == _NAME]
    if len(values) > 1 or _VERSION_00.match(values[0]) is None:
        return ()
    return ((TRACEPARENT, values[0]),)
