"""What calls and loops over events raise.

ClientError
├── Refused              the server says no (4xx): the same again will not help
│   ├── InvalidInput         a field breaks a rule; `errors` names each
│   ├── NotSignedIn          no token that is good, and no way to get another one: sign in again
│   ├── NotAllowed           this user may not do it
│   ├── NotFound             there is no such thing, or this user may not know of it
│   └── Conflict             it contradicts the present state, or the name is taken
├── Unavailable          given up after every retry: no answer, 408, 423, 429, 5xx
│   └── OutcomeUnknown       it may or may not have been done: repeat it with the id that it carries
├── Defect               the two do not understand each other: another release, or no Chat4All
│   └── InvalidCertificate   the server is not trusted: expired, another name, or unknown authority
└── Closed               the client is not open, or another loop has taken over the events
"""

from collections.abc import Sequence
from typing import Final

import msgspec

from chat4all.domain.errors import Chat4AllError
from chat4all.wire.problems import ProblemField, ProblemSlug, type_of

_UNKNOWN: Final = type_of(ProblemSlug.OUTCOME_UNKNOWN)


class Answered(msgspec.Struct, frozen=True):
    """The problem that the server answered with (RFC 9457); empty where it is not the server's."""

    type: str = ""
    title: str = ""
    detail: str = ""
    request_id: str | None = None
    errors: tuple[ProblemField, ...] = ()
    message_id: str | None = None
    change_id: str | None = None


class ClientError(Chat4AllError):
    """The base of every error of the client."""


class ProblemError(ClientError):
    """An error with what the server said about it.

    `status` is the answer's, None where there was no answer; `type` names the kind of problem and
    stays the same between releases. `request_id` helps an operator to find the request.
    """

    def __init__(
        self, detail: str, *, status: int | None = None, problem: Answered | None = None
    ) -> None:
        problem = problem or Answered()
        super().__init__("; ".join([detail, *(f"{e.pointer}: {e.detail}" for e in problem.errors)]))
        self.detail: Final = detail
        self.status: Final = status
        self.type: Final = problem.type
        self.title: Final = problem.title
        self.request_id: Final = problem.request_id
        self.errors: Final[Sequence[ProblemField]] = problem.errors
        """Each broken rule: `pointer` (a JSON Pointer into the request) and `detail`."""


class Refused(ProblemError):
    """The server says no: the same call again will not help."""


class InvalidInput(Refused):
    """A field breaks a rule, or the request is too large; `errors` names each field."""


class NotSignedIn(Refused):
    """There is no token that is good and no way to get another one: sign in again."""


class NotAllowed(Refused):
    """The role of this user does not allow it."""


class NotFound(Refused):
    """There is no such thing, or this user may not know that there is."""


class Conflict(Refused):
    """It contradicts the present state: a deleted message, a last owner, a name that is taken."""


class Unavailable(ProblemError):
    """Given up within the time-out: no answer, too many requests, or a part does not work.

    With status 409 it is a file that is still being checked.
    """

    def __init__(
        self,
        detail: str,
        *,
        status: int | None = None,
        problem: Answered | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(detail, status=status, problem=problem)
        self.retry_after: Final = retry_after
        """Seconds after which to try again, where the server said so."""
        self.message_id: str | None = None
        """Of `send`: try again with it, and the message is there once."""
        self.change_id: str | None = None
        """Of `edit`, `delete`, `react` and `unreact`: the same."""
        self.key: str | None = None
        """Of `create_group`, `add_member` and `sign_up`: the same."""


class OutcomeUnknown(Unavailable):
    """It may have been done, or be done yet.

    Repeat it with the `message_id`, `change_id` or `key` that this has: it is done once.
    """


class Defect(ClientError):
    """Client and server do not understand each other. Trying again is of no use.

    `code` is that of the WebSocket's close frame, if that is how it ended.
    """

    def __init__(self, detail: str, *, code: int | None = None) -> None:
        super().__init__(detail)
        self.code: Final = code


class InvalidCertificate(Defect):
    """The server's certificate has expired, is another name's, or its authority is not known.

    Raised by the first try, since trying again does not help: renew it, correct the address, or
    give the client an `ssl` context that knows the authority.
    """


class Closed(ClientError):
    """The client is not open, or another loop has taken over the events."""


CONFLICT: Final = 409
NOT_IMPLEMENTED: Final = 501
"""The server has no store for files, say: it will not have one for the next try either."""


def as_kind(kind: type[Unavailable], error: Unavailable) -> Unavailable:
    """Return an error as one of another kind, with all that the server said."""
    if type(error) is kind:
        return error
    problem = Answered(error.type, error.title, error.detail, error.request_id)
    return kind(error.detail, status=error.status, problem=problem, retry_after=error.retry_after)


# The request took too long to come, another one holds the upload, there are too many.
_PASSING: Final = (408, 423, 429)

_BY_STATUS = {
    400: InvalidInput,
    401: NotSignedIn,
    403: NotAllowed,
    404: NotFound,
    409: Conflict,
    413: InvalidInput,
    415: InvalidInput,
    422: InvalidInput,
}


def error_of(
    status: int, problem: Answered, said: str = "", *, retry_after: float | None = None
) -> Refused | Unavailable:
    """Return the error for a problem with this status; `said` is for one without a `detail`."""
    detail = problem.detail or said or f"the server answers with {status}"
    # A conflict that says when to try again passes: a file is being checked.
    passes = status in _PASSING or (status == CONFLICT and retry_after is not None)
    if passes or (status >= 500 and status != NOT_IMPLEMENTED):
        is_unknown = problem.type == _UNKNOWN or not (passes or status == 503)
        unavailable = OutcomeUnknown if is_unknown else Unavailable
        return unavailable(detail, status=status, problem=problem, retry_after=retry_after)
    refused = _BY_STATUS.get(status, Refused)
    return refused(detail, status=status, problem=problem)
