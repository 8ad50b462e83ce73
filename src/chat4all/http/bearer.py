"""Authentication: the bearer token of a request, and the session that it belongs to."""

from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import OAuth2PasswordBearer
from starlette.types import Scope

from chat4all.domain.acting import Actor, act_as
from chat4all.domain.errors import NotSignedIn
from chat4all.domain.people import Session
from chat4all.http.access_log import CALLER
from chat4all.http.bound import bound
from chat4all.http.limits import client_of
from chat4all.http.oauth import TOKEN_PATH
from chat4all.http.openapi import TOKEN_SCHEME
from chat4all.http.rates import RouteRates
from chat4all.usecases.signing_in import SigningIn

# Only for the "Authorize" button in /docs; the token is read by `bearer_token`.
_scheme = OAuth2PasswordBearer(TOKEN_PATH, TOKEN_SCHEME, auto_error=False)


def bearer_token(scope: Scope) -> str:
    """Return the token in the `Authorization` header; `NotSignedIn` without one."""
    value: bytes
    for name, value in scope["headers"]:
        if name == b"authorization":
            kind, _, token = value.partition(b" ")
            if kind.lower() == b"bearer":
                return token.strip().decode("latin-1")
    raise NotSignedIn("send a token: Authorization: Bearer <token>")


async def caller(
    request: Request,
    signing_in: Annotated[SigningIn, bound(SigningIn)],
    rates: Annotated[RouteRates, bound(RouteRates)],
    _scheme_for_docs: Annotated[str | None, Depends(_scheme)],
) -> Session:
    """Return the caller's session, and count the request: a FastAPI dependency."""
    session = await signing_in.authenticate(bearer_token(request.scope))
    client = client_of(request.scope)
    request.scope[CALLER] = session
    act_as(Actor(session.username, session.session_id, client))
    rates.take(request.scope, session)
    return session
