"""The errors of Chat4All, in one tree.

Chat4AllError
├── Refused                 the caller has to change the request; retrying it as it is will not help
│   ├── InvalidInput            a field breaks a rule
│   ├── NotSignedIn             no token, or an invalid one
│   ├── InvalidGrant            a refresh token that is not good
│   ├── NotAllowed              this caller may not do this
│   ├── NotFound                no such thing, or the caller may not know that it exists
│   ├── Conflict                it contradicts the present state
│   │   ├── AlreadyTaken            a unique name is in use
│   │   ├── Busy                    another request holds the upload
│   │   ├── Fenced                  another request has taken the upload away
│   │   └── BeingChecked            the file is held back by a check, which ends
│   ├── UnreadablePicture       no picture that can be read
│   ├── QuotaReached            there is no room left for this user, or in all
│   ├── TooLarge                a file, or what is added to it, has more bytes than it may
│   ├── ChecksumMismatch        a body is not what its checksum says
│   └── NotAccepted             a part will never take it as it is: it is too large, say
├── TooMany                 too many requests; the same one will work after a while
├── Unavailable             a part does not answer; the same request will work later
│   ├── Overloaded              a bounded queue is full; nothing was done
│   ├── OutOfSpace              the store of files is full
│   └── OutcomeUnknown          it may or may not have been done; what to do depends on the route
├── Degraded                something is wrong that does not stop a process from working
├── StartRefused            a process does not start; the message says what to change
├── CommandRefused          a command is refused; the message says why, and what to do
└── RouterStopped           the store contradicts the log; an operator must look

What is `Refused` is permanent, what is `Unavailable` passes: of the former only `Busy` and
`BeingChecked` are ever retried.
`chat4all.http.problems` is the one place that turns these into HTTP answers.
"""

from collections.abc import Sequence
from dataclasses import dataclass


class Chat4AllError(Exception):
    """The base of every error that Chat4All raises on purpose."""


class Refused(Chat4AllError):
    """The request cannot be done as it stands."""


@dataclass(frozen=True, slots=True)
class FieldError:
    """One broken rule: where (a JSON Pointer, RFC 6901) and what, without the value itself."""

    pointer: str
    detail: str


class InvalidInput(Refused):
    """One or more fields break a rule."""

    def __init__(self, errors: Sequence[FieldError]) -> None:
        super().__init__("; ".join(f"{e.pointer}: {e.detail}" for e in errors))
        self.errors = tuple(errors)


class NotSignedIn(Refused):
    """There is no token, or it is malformed, expired, revoked or not ours."""

    def __init__(self, detail: str, account: str | None = None) -> None:
        super().__init__(detail)
        self.account = account
        """For the log: the user whose password was guessed wrong."""


class InvalidGrant(Refused):
    """A refresh token that is not good (RFC 6749, section 5.2): sign in again."""


class NotAllowed(Refused):
    """The caller's role does not allow this, or nobody may do it here (sign-up can be closed)."""


class NotFound(Refused):
    """It does not exist, or the caller may not know that it does: the answers are the same."""


class Conflict(Refused):
    """The request contradicts the present state: a group's last owner cannot leave it."""


class AlreadyTaken(Conflict):
    """A name that must be unique is in use."""


class Busy(Conflict):
    """Another request holds the upload; it may let go soon."""

    retry_after: float = 3.0
    """Seconds after which to try again."""


class Fenced(Conflict):
    """Another request has taken the upload over; what this one sent since may not count."""


class BeingChecked(Conflict):
    """The file is held back until it has been checked: the same request may work after a while."""

    retry_after: float = 3.0
    """Seconds after which to try again."""


class UnreadablePicture(Refused):
    """It is not a picture, it is broken, or it would cost too much to decode."""


class QuotaReached(Refused):
    """There is no room left. The message says what to delete, or whom to ask."""


class TooLarge(Refused):
    """A file, or what is to be added to one, has more bytes than it may have."""


class ChecksumMismatch(Refused):
    """A body is not what its checksum says. Nothing of it counts: send it again."""


class NotAccepted(Refused):
    """A part will never take this as it is, for example because it is too large for it.

    The message names the part and the reason, and nothing of the content.
    """


class TooMany(Chat4AllError):
    """Too many requests. Nothing was done; the same one will work after `Retry-After` seconds."""

    def __init__(self, detail: str, retry_after: float, account: str | None = None) -> None:
        super().__init__(detail)
        self.retry_after = retry_after
        """Seconds after which the same request is let through."""
        self.account = account
        """For the log: the user whose password was guessed wrong too often."""


class Unavailable(Chat4AllError):
    """A part that is needed does not answer; retried here, or by the caller.

    The message is for operators and may name addresses; clients get `public` in its place.
    """

    def __init__(self, detail: str, public: str | None = None) -> None:
        super().__init__(detail)
        self.public = public

    retry_after: float = 1.0
    """Seconds after which to retry."""

    message_id: str | None = None
    """On sending: the id to try again with."""

    change_id: str | None = None
    """On editing, deleting and reacting: the id to try again with."""


class Overloaded(Unavailable):
    """A bounded queue is full. Nothing was done, and nothing is done later."""


class OutOfSpace(Unavailable):
    """The store of files has no space left. What was acknowledged stays."""


class OutcomeUnknown(Unavailable):
    """A write was not acknowledged in time: it may have been done, or be done yet.

    `detail` says what to do. A message is sent again with its `message_id`, a creation with its
    `Idempotency-Key`.
    """


class Degraded(Chat4AllError):
    """Something is wrong and must be reported, but does not stop this process from working."""


class StartRefused(Chat4AllError):
    """A process does not start. The message is one sentence that says what to change."""


class CommandRefused(Chat4AllError):
    """A command is refused. The message is one sentence that says what to do."""

    status = 1
    """The exit status."""


class RouterStopped(Chat4AllError):
    """Continuing could give two messages one number. Nothing is written; an operator must look."""
