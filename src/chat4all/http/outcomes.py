"""What a client is told to do when the outcome of its request is unknown (EXACTNESS 19b).

Each route that writes declares it: what is right for a message would create a second group.
"""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

E = TypeVar("E", bound=Callable[..., Any])

MESSAGE = "send it again with the `message_id` of this answer"
CREATION = (
    "send it again with the same Idempotency-Key; without one, look first whether it was created"
)
TOKEN = "send it again; a refresh token may be sent again for 30 s"  # noqa: S105 - not a token
LOGOUT = "send it again; 401 means that it was done"
REMOVAL = "send it again; 404 means that it was done"
SESSION = "send it again; 404, or 401 if it was your own, means that it was done"
ROLE = "send it again; 403 after changing your own role means that it was done"
SAME_VALUE = "send it again: it sets the same value"
EDIT = "send it again with the `change_id` of this answer"
CHANGE = "send it again with the `change_id` of this answer as the Idempotency-Key"
MARKER = "send it again: a marker only grows"
OWN_PROFILE = (
    "look at your profile before you send it again; a new password was set if you can sign in "
    "with it"
)
UPLOAD = "look first among your files whether it was begun: then go on with that one, or delete it"
BYTES = "ask with HEAD for the offset, and go on there"
COMPLETION = "send it again: what is complete is returned as it is"
LOOK = "send it again"
ANY = "look whether it was done before you do it again"

_DECLARED = "chat4all_if_unknown"


def if_unknown(advice: str) -> Callable[[E], E]:
    """Declare a FastAPI route's advice, between FastAPI's decorator and the endpoint."""

    def declare(endpoint: E) -> E:
        setattr(endpoint, _DECLARED, advice)
        return endpoint

    return declare


def advice_of(scope: Mapping[str, Any]) -> str | None:
    """Return the advice that the endpoint of a request declares, if it does."""
    advice: str | None = getattr(scope.get("endpoint"), _DECLARED, None)
    return advice
