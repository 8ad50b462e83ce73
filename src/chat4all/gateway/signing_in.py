"""`POST /token` and `POST /v1/logout`."""

from http import HTTPStatus
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Request
from fastapi.security import OAuth2PasswordRequestForm
from pydantic import BaseModel, Field

from chat4all.domain.errors import NotSignedIn
from chat4all.domain.people import Session
from chat4all.usecases.signing_in import SigningIn
from chat4all.web.bearer import Authenticate
from chat4all.web.docs import problems, rate_limited
from chat4all.web.limits import Limits, address_of


class Token(BaseModel):
    """A bearer token (RFC 6749, section 5.1)."""

    access_token: str = Field(description="Send it as `Authorization: Bearer …`.")
    token_type: Literal["bearer"] = "bearer"  # noqa: S105 - not a password
    expires_in: int = Field(description="Seconds.", examples=[1800])


_ACCOUNT_LETTERS = 64
"""A longer name is nobody's; it is counted by its beginning."""


def signing_in_routes(signing_in: SigningIn, limits: Limits, caller: Authenticate) -> APIRouter:
    """Return the routes of signing in and out."""
    router = APIRouter(tags=["Signing in"])

    @router.post(
        "/token",
        summary="Sign in",
        responses={
            200: {"headers": rate_limited("sign-in-account", 10, 300)},
            **problems(400, 401, 413, 422, 429, 503),
        },
    )
    async def token(
        form: Annotated[OAuth2PasswordRequestForm, Depends()], request: Request
    ) -> Token:
        """Exchange a username and a password for a token (OAuth 2 password grant)."""
        limits.sign_in_address.take(request.scope, address_of(request.scope))
        account = form.username[:_ACCOUNT_LETTERS]
        with limits.sign_in_account.take_unless_good(request.scope, account, NotSignedIn):
            granted = await signing_in.sign_in(form.username, form.password)
        return Token(access_token=granted.token, expires_in=granted.expires_in)

    @router.post(
        "/v1/logout",
        summary="Sign out",
        status_code=HTTPStatus.NO_CONTENT,
        responses=problems(401, 503),
    )
    async def logout(session: Annotated[Session, Depends(caller)]) -> None:
        """End this session: its token is refused from now on."""
        await signing_in.sign_out(session)

    return router
