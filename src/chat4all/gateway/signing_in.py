"""`POST /token`, `POST /v1/logout` and `/v1/sessions`."""

from functools import cache
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Form, Request, Response

from chat4all.domain.acting import Actor, act_as
from chat4all.domain.errors import FieldError, InvalidGrant, InvalidInput, NotSignedIn
from chat4all.domain.people import Session
from chat4all.http.answers import json_response
from chat4all.http.bearer import caller
from chat4all.http.bound import bound
from chat4all.http.limits import SIGN_IN_ACCOUNT, Limits, address_of, client_of
from chat4all.http.oauth import TOKEN_PATH
from chat4all.http.openapi import json_content, problem_meaning, problems, rate_limited
from chat4all.http.outcomes import LOGOUT, SESSION, TOKEN, if_unknown
from chat4all.http.paths import SessionPath
from chat4all.http.routes import api_router
from chat4all.usecases.signing_in import SigningIn
from chat4all.wire.people import SessionView, Token, session_view, token_view
from chat4all.wire.requests import Grant

_ACCOUNT_LETTERS = 64
"""No username is longer; of a longer one so much is counted."""

_FAMILY_LETTERS = 22
"""Of a refresh token: the same in all tokens of a device."""


@cache
def signing_in_routes() -> APIRouter:
    """Return the routes for signing in and out."""
    router = api_router("Signing in")

    @router.post(
        TOKEN_PATH,
        summary="Sign in",
        responses={
            200: {
                "content": json_content(Token),
                "headers": rate_limited("sign-in-account", *SIGN_IN_ACCOUNT),
            },
            **problems(413, 415, 422, 429, 503),
            **problem_meaning(
                400,
                "The refresh token is not good: sign in again. Or the form is not in UTF-8, or has "
                "a field twice; see `error`.",
            ),
            **problem_meaning(401, "Wrong username or password."),
        },
    )
    @if_unknown(TOKEN)
    async def token(
        signing_in: Annotated[SigningIn, bound(SigningIn)],
        limits: Annotated[Limits, bound(Limits)],
        form: Annotated[Grant, Form()],
        request: Request,
    ) -> Response:
        """Exchange a username and a password for tokens, or a refresh token for the next ones."""
        act_as(Actor(address=client_of(request.scope)))
        rate, address = limits.sign_in_address, address_of(request.scope)
        if form.grant_type == "refresh_token":
            fields = _required(form, "refresh_token")
            limits.refresh.take(request.scope, fields["refresh_token"][:_FAMILY_LETTERS])
            # A refresh costs no hash: by address only guesses are limited.
            with rate.count_failures(request.scope, address, InvalidGrant):
                return json_response(token_view(await signing_in.refresh(fields["refresh_token"])))
        fields = _required(form, "username", "password")
        rate.take(request.scope, address)
        account = fields["username"][:_ACCOUNT_LETTERS]
        with limits.sign_in_account.count_failures(request.scope, account, NotSignedIn):
            device = _device(request)
            return json_response(token_view(await signing_in.sign_in(**fields, device=device)))

    @router.post(
        "/v1/logout",
        summary="Sign out",
        status_code=HTTPStatus.NO_CONTENT,
        responses=problems(401, 503),
    )
    @if_unknown(LOGOUT)
    async def logout(
        session: Annotated[Session, Depends(caller)],
        signing_in: Annotated[SigningIn, bound(SigningIn)],
    ) -> None:
        """End this session: its tokens are refused from now on, elsewhere within 5 s."""
        await signing_in.sign_out(session)

    @router.get(
        "/v1/sessions",
        summary="List your devices",
        operation_id="list_sessions",
        responses={200: {"content": json_content(SessionView, many=True)}, **problems(401, 503)},
    )
    async def sessions(
        session: Annotated[Session, Depends(caller)],
        signing_in: Annotated[SigningIn, bound(SigningIn)],
    ) -> Response:
        """Return where you are signed in, the last used device first."""
        own = await signing_in.sessions(session.username)
        return json_response([session_view(one, session.session_id) for one in own])

    @router.delete(
        "/v1/sessions/{session_id}",
        summary="Sign a device out",
        operation_id="end_session",
        status_code=HTTPStatus.NO_CONTENT,
        responses=problems(401, 404, 422, 503),
    )
    @if_unknown(SESSION)
    async def end(
        session: Annotated[Session, Depends(caller)],
        signing_in: Annotated[SigningIn, bound(SigningIn)],
        session_id: SessionPath,
    ) -> None:
        """End one of your sessions: its tokens are refused from now on, elsewhere within 5 s."""
        await signing_in.end(session, session_id)

    return router


def _device(request: Request) -> str:
    """Return what a client says that it is, in UTF-8; Starlette takes headers for latin-1."""
    said = request.headers.get("User-Agent", "")
    return said.encode("latin-1").decode(errors="ignore")


def _required(form: Grant, *names: str) -> dict[str, str]:
    """Return these fields of a grant; `InvalidInput` says which are missing."""
    fields = {name: getattr(form, name) for name in names}
    missing = [FieldError(f"/{name}", "needed here") for name, value in fields.items() if not value]
    if missing:
        raise InvalidInput(missing)
    return fields
