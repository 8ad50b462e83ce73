"""`/v1/users`."""

from http import HTTPStatus

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, EmailStr, Field

from chat4all.domain.people import (
    PASSWORD_MAX_BYTES,
    PASSWORD_MIN,
    USERNAME_PATTERN,
    USERNAME_RULE,
    User,
)
from chat4all.usecases.signing_up import SigningUp
from chat4all.web.bodies import json_only
from chat4all.web.docs import problems, rate_limited
from chat4all.web.limits import Limit, address_of


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


class OwnProfile(BaseModel):
    """A user as that user sees it."""

    username: str = Field(examples=["carla"])
    email: str = Field(examples=["carla@example.com"])
    created_at: str = Field(description="RFC 3339, UTC.", examples=["2026-01-31T12:00:00.000Z"])


def user_routes(signing_up: SigningUp, limit: Limit) -> APIRouter:
    """Return the routes of users; `limit` is that of signing up, by address."""
    router = APIRouter(tags=["Users"], dependencies=[Depends(json_only)])

    @router.post(
        "/v1/users",
        summary="Sign up",
        operation_id="create_user",
        status_code=HTTPStatus.CREATED,
        responses={
            201: {"headers": rate_limited("sign-up", 20, 3600)},
            **problems(400, 403, 409, 413, 415, 422, 429, 503),
        },
    )
    async def create_user(new: NewUser, request: Request) -> OwnProfile:
        """Create a user. 409 when the username or the e-mail is in use, 403 where it is closed."""
        limit.take(request.scope, address_of(request.scope))
        user = await signing_up.sign_up(new.username, new.email, new.password)
        return _own_profile(user)

    return router


def _own_profile(user: User) -> OwnProfile:
    return OwnProfile(username=user.username, email=user.email, created_at=user.created_at)
