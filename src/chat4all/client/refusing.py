"""Errors on the connection: which of the client's frames they answer.

A frame has a `ref`, which the error repeats. It says what was asked, so that the client need not
remember frames: those that are not refused get no answer.
"""

from typing import Final

from chat4all.client.errors import Answered, Refused, Unavailable, error_of
from chat4all.client.events import RequestRefused
from chat4all.wire.client_frames import REF_MAX
from chat4all.wire.frames import ErrorFrame

RESUME: Final = "resume"
WATCH: Final = "watch"
TYPING: Final = "typing"


def typing_ref(conversation: str) -> str:
    """Return the `ref` of a `typing`; only what is too long for an id is cut off."""
    return f"{TYPING} {conversation}"[:REF_MAX]


def refused_by(frame: ErrorFrame) -> RequestRefused | None:
    """Return what a program is told of an error; None where it asked for nothing itself."""
    request, _, conversation = (frame.ref or "").partition(" ")
    if request not in {WATCH, TYPING}:
        return None
    return RequestRefused(request, conversation or None, problem_error(frame))


def problem_error(frame: ErrorFrame) -> Refused | Unavailable:
    """Return an error frame as the error that a call would have raised."""
    problem = Answered(frame.problem, frame.title, frame.detail, errors=tuple(frame.errors or ()))
    return error_of(frame.status, problem, retry_after=frame.retry_after)
