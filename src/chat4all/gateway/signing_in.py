"""`POST /token`, `POST /v1/logout` and `/v1/sessions`."""

from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Form, Path, Request
from pydantic import BaseModel, Field

from chat4all.domain.errors import FieldError, InvalidInput, NotSignedIn
from chat4all.domain.ids import UUID_PATTERN, SessionId
from chat4all.domain.people import Session
from chat4all.domain.times import format_utc
from chat4all.http.bearer import Authenticate
from chat4all.http.docs import problems, rate_limited
from chat4all.http.limits import Limits, address_of
from chat4all.usecases.signing_in import Granted, SigningIn


class Grant(BaseModel):
    """What is exchanged for tokens (RFC 6749, sections 4.3 and 6)."""

    grant_type: Literal["password", "refresh_token"] = "password"
    username: str | None = Field(None, description="With a password.", examples=["bruno"])
    password: str | None = Field(None, examples=["test"], json_schema_extra={"format": "password"})
    refresh_token: str | None = Field(None, description="In place of username and password.")


class Token(BaseModel):
    """A bearer token (RFC 6749, section 5.1)."""

    access_token: str = Field(description="Send it as `Authorization: Bearer …`.")
    token_type: Literal["bearer"] = "bearer"  # noqa: S105 - not a password
    expires_in: int = Field(description="Seconds.", examples=[1800])
    refresh_token: str = Field(
        description="Good once, for the next two tokens. Used again it ends the session."
    )


class SessionView(BaseModel):
    """A device that is signed in."""

    session_id: str = Field(examples=["0d6a1a2c-55a0-4b52-9d3e-6b3a5e8f7c21"])
    device: str = Field(description="What it says that it is.", examples=["curl/7.88.1"])
    created_at: str = Field(description="RFC 3339, UTC.", examples=["2026-01-31T12:00:00.000Z"])
    last_used_at: str = Field(description="When it signed in or last refreshed its tokens.")
    expires_at: str = Field(description="When it is signed out unless it refreshes them.")
    current: bool = Field(description="Whether it is the one that asks.")


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
    async def token(form: Annotated[Grant, Form()], request: Request) -> Token:
        """Exchange a username and a password for tokens, or a refresh token for the next ones."""
        address = address_of(request.scope)
        if form.grant_type == "refresh_token":
            given = _given(form, "refresh_token")
            # It costs no hash; only guessing is limited.
            with limits.sign_in_address.take_unless_good(request.scope, address, NotSignedIn):
                return _token(await signing_in.refresh(given["refresh_token"]))
        given = _given(form, "username", "password")
        limits.sign_in_address.take(request.scope, address)
        account = given["username"][:_ACCOUNT_LETTERS]
        with limits.sign_in_account.take_unless_good(request.scope, account, NotSignedIn):
            device = request.headers.get("User-Agent", "")
            return _token(await signing_in.sign_in(**given, device=device))

    @router.post(
        "/v1/logout",
        summary="Sign out",
        status_code=HTTPStatus.NO_CONTENT,
        responses=problems(401, 503),
    )
    async def logout(session: Annotated[Session, Depends(caller)]) -> None:
        """End this session: its tokens are refused from now on, elsewhere within 5 s."""
        await signing_in.sign_out(session)

    @router.get(
        "/v1/sessions",
        summary="List your devices",
        operation_id="list_sessions",
        responses=problems(401, 503),
    )
    async def sessions(session: Annotated[Session, Depends(caller)]) -> list[SessionView]:
        """Return where you are signed in, the last used device first."""
        found = await signing_in.sessions(session.username)
        return [_view(one, session.session_id) for one in found]

    @router.delete(
        "/v1/sessions/{session_id}",
        summary="Sign a device out",
        operation_id="end_session",
        status_code=HTTPStatus.NO_CONTENT,
        responses=problems(401, 404, 422, 503),
    )
    async def end(
        session: Annotated[Session, Depends(caller)],
        session_id: Annotated[str, Path(pattern=UUID_PATTERN)],
    ) -> None:
        """End one of your sessions: its tokens are refused from now on, elsewhere within 5 s."""
        await signing_in.end(session.username, SessionId(session_id.lower()))

    return router


def _given(form: Grant, *names: str) -> dict[str, str]:
    """Return what a grant needs; `InvalidInput` says what is missing."""
    found = {name: getattr(form, name) for name in names}
    missing = [FieldError(f"/{name}", "needed here") for name, value in found.items() if not value]
    if missing:
        raise InvalidInput(missing)
    return found


def _token(granted: Granted) -> Token:
    return Token(
        access_token=granted.access.token,
        expires_in=granted.access.expires_in,
        refresh_token=granted.refresh_token,
    )


def _view(session: Session, current: SessionId) -> SessionView:
    return SessionView(
        session_id=session.session_id,
        device=session.device,
        created_at=_time(session.created_at),
        last_used_at=_time(session.used_at),
        expires_at=_time(session.expires_at),
        current=session.session_id == current,
    )


def _time(seconds: int) -> str:
    return format_utc(datetime.fromtimestamp(seconds, UTC))
