"""`/v1/users`."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from pydantic import BaseModel, EmailStr, Field

from chat4all.domain.errors import NotAllowed
from chat4all.domain.ids import Username
from chat4all.domain.people import (
    DISPLAY_NAME_MAX,
    PASSWORD_MAX_BYTES,
    PASSWORD_MIN,
    USERNAME_PATTERN,
    USERNAME_RULE,
    Session,
    User,
)
from chat4all.http.bearer import Authenticate
from chat4all.http.bodies import json_only
from chat4all.http.docs import problems, rate_limited
from chat4all.http.limits import Limits, address_of
from chat4all.http.paging import LINK_HEADER, Cursor, link_next, read_cursor
from chat4all.usecases.profiles import FIND_LIMIT_DEFAULT, FIND_LIMIT_MAX, Profiles
from chat4all.usecases.signing_up import SigningUp


class NewUser(BaseModel):
    """Somebody who signs up."""

    # The rules are the domain's, which says them better; here they are only described.
    username: str = Field(
        description=f"Stays the same for ever: {USERNAME_RULE}.",
        examples=["carla"],
        json_schema_extra={"pattern": USERNAME_PATTERN},
    )
    email: EmailStr = Field(max_length=320, examples=["carla@example.com"])
    password: str = Field(
        description=f"At least {PASSWORD_MIN} characters, at most {PASSWORD_MAX_BYTES} bytes.",
        examples=["uma senha longa"],
        json_schema_extra={
            "format": "password",
            "writeOnly": True,
            "minLength": PASSWORD_MIN,
            "maxLength": PASSWORD_MAX_BYTES,
        },
    )


class ChangedUser(BaseModel):
    """What to change about yourself; what is left out stays."""

    display_name: str | None = Field(
        None, description="Shown beside your username; empty takes it away.", examples=["Carla 🎈"]
    )
    email: EmailStr | None = Field(None, max_length=320, examples=["carla@example.org"])
    password: str | None = Field(
        None,
        description="A new one. It ends all your other sessions.",
        examples=["outra senha longa"],
        json_schema_extra={"format": "password", "writeOnly": True},
    )
    current_password: str | None = Field(
        None,
        description="Needed for a new password, unless you signed in within the last 10 minutes.",
        examples=["uma senha longa"],
        json_schema_extra={"format": "password", "writeOnly": True},
    )


class Profile(BaseModel):
    """A user as others see that user."""

    username: str = Field(examples=["carla"])
    display_name: str | None = Field(examples=["Carla 🎈"])
    created_at: str = Field(description="RFC 3339, UTC.", examples=["2026-01-31T12:00:00.000Z"])


class OwnProfile(Profile):
    """A user as that user sees it."""

    email: str = Field(examples=["carla@example.com"])


_PATH = "/v1/users/{username}"
_UserPath = Annotated[str, Path(min_length=1, max_length=40, examples=["carla"])]


def user_routes(
    signing_up: SigningUp, profiles: Profiles, limits: Limits, caller: Authenticate
) -> APIRouter:
    """Return the routes of users."""
    router = APIRouter(tags=["Users"])

    @router.post(
        "/v1/users",
        summary="Sign up",
        operation_id="create_user",
        status_code=HTTPStatus.CREATED,
        dependencies=[Depends(json_only)],
        responses={
            201: {"headers": rate_limited("sign-up", 20, 3600)},
            **problems(400, 403, 409, 413, 415, 422, 429, 503),
        },
    )
    async def create_user(new: NewUser, request: Request) -> OwnProfile:
        """Create a user. 409 when the username or the e-mail is in use, 403 where it is closed."""
        limits.sign_up.take(request.scope, address_of(request.scope))
        user = await signing_up.sign_up(new.username, new.email, new.password)
        return _own_profile(user)

    @router.get(
        "/v1/users",
        summary="Find users",
        operation_id="find_users",
        responses={200: {"headers": LINK_HEADER}, **problems(401, 422, 503)},
    )
    async def find_users(
        _session: Annotated[Session, Depends(caller)],
        response: Response,
        query: Annotated[
            str,
            Query(
                max_length=DISPLAY_NAME_MAX,
                description="How their username or display name begins, in any case.",
                examples=["ca"],
            ),
        ] = "",
        limit: Annotated[int, Query(ge=1, le=FIND_LIMIT_MAX)] = FIND_LIMIT_DEFAULT,
        cursor: Cursor = None,
    ) -> list[Profile]:
        """Return users by name, all of them or those whose name begins with `query`."""
        found, after = await profiles.find(query, limit, read_cursor(cursor))
        link_next(response, "/v1/users", after, query=query, limit=limit)
        return [_profile(user) for user in found]

    @router.get(
        "/v1/me", summary="Yourself", operation_id="read_me", responses=problems(401, 404, 503)
    )
    async def me(session: Annotated[Session, Depends(caller)]) -> OwnProfile:
        """Return your own profile."""
        return _own_profile(await profiles.user(session.username))

    @router.get(
        _PATH,
        summary="Read a profile",
        operation_id="read_user",
        responses=problems(401, 404, 422, 503),
    )
    async def read_user(
        session: Annotated[Session, Depends(caller)], username: _UserPath
    ) -> OwnProfile | Profile:
        """Return somebody's profile; the e-mail only of your own."""
        user = await profiles.user(Username(username))
        return _own_profile(user) if username == session.username else _profile(user)

    @router.patch(
        _PATH,
        summary="Change yourself",
        operation_id="change_user",
        dependencies=[Depends(json_only)],
        responses=problems(400, 401, 403, 404, 409, 413, 415, 422, 429, 503),
    )
    async def change_user(
        session: Annotated[Session, Depends(caller)],
        username: _UserPath,
        changed: ChangedUser,
        request: Request,
    ) -> OwnProfile:
        """Change your display name, e-mail or password; 403 for anybody else.

        A new password ends all your other sessions within 5 s.
        """
        _require_oneself(session, username)
        # Guessing a password is limited here as it is at the sign-in.
        with limits.sign_in_account.take_unless_good(request.scope, username, NotAllowed):
            user = await profiles.change(
                session.username,
                display_name=changed.display_name,
                email=changed.email,
                password=changed.password,
                current_password=changed.current_password,
                keep=session.session_id,
            )
        return _own_profile(user)

    @router.delete(
        _PATH,
        summary="Delete yourself",
        operation_id="delete_user",
        status_code=HTTPStatus.NO_CONTENT,
        responses=problems(401, 403, 404, 422, 503),
    )
    async def delete_user(
        session: Annotated[Session, Depends(caller)], username: _UserPath
    ) -> None:
        """Erase your personal data and end your sessions and memberships, for good.

        What you wrote stays in its conversations, under a name that is nobody's.
        """
        _require_oneself(session, username)
        await profiles.erase(session.username)

    return router


def _require_oneself(session: Session, username: str) -> None:
    if username != session.username:
        raise NotAllowed("you can only change yourself")


def _profile(user: User) -> Profile:
    return Profile(
        username=user.username, display_name=user.display_name, created_at=user.created_at
    )


def _own_profile(user: User) -> OwnProfile:
    return OwnProfile(
        username=user.username,
        display_name=user.display_name,
        created_at=user.created_at,
        email=user.email,
    )
