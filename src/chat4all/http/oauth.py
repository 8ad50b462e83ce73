"""The fields that OAuth libraries read in a refusal of `/token` (RFC 6749, section 5.2).

They take an answer without `error` for a token. So every refusal has one, whichever layer refuses.
"""

from chat4all.domain.errors import (
    InvalidGrant,
    InvalidInput,
    NotSignedIn,
    TooMany,
    Unavailable,
)
from chat4all.wire.problems import Problem

TOKEN_PATH = "/token"  # noqa: S105 - a path

_SERVER_ERROR = 500


def add_oauth_error(problem: Problem, error: Exception) -> None:
    """Add the fields to a problem of `/token`."""
    problem.error = _code(problem.status, error)
    problem.error_description = "".join(
        c if " " <= c <= "~" and c not in '"\\' else "'" for c in problem.detail
    )


def _code(status: int, error: Exception) -> str:
    match error:
        case InvalidGrant() | NotSignedIn():
            return "invalid_grant"
        case InvalidInput(errors=errors) if any(e.pointer == "/grant_type" for e in errors):
            return "unsupported_grant_type"
        case TooMany() | Unavailable():
            # RFC 6749 has these two for another endpoint only; a token endpoint needs them too.
            return "temporarily_unavailable"
        case _ if status >= _SERVER_ERROR:
            return "server_error"
        case _:
            return "invalid_request"
