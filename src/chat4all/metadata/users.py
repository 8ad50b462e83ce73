"""`/v1/users`."""

from functools import cache
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import AfterValidator, ValidationError

from chat4all.domain.acting import Actor, act_as
from chat4all.domain.errors import NotAllowed
from chat4all.domain.people import DISPLAY_NAME_MAX, Session, searched_name
from chat4all.http.answers import json_response
from chat4all.http.bearer import caller
from chat4all.http.bound import bound
from chat4all.http.idempotency import IdempotencyKey
from chat4all.http.limits import Limits, address_of, client_of
from chat4all.http.openapi import json_content, problem_meaning, problems, rate_limited
from chat4all.http.outcomes import CREATION, LOGOUT, OWN_PROFILE, if_unknown
from chat4all.http.paging import LINK_HEADER, Cursor, link_next
from chat4all.http.paths import UserPath
from chat4all.http.routes import api_router
from chat4all.usecases.profiles import (
    CURRENT_ONE_NEEDED,
    FIND_LIMIT_DEFAULT,
    FIND_LIMIT_MAX,
    Profiles,
)
from chat4all.usecases.signing_up import SigningUp
from chat4all.wire.people import OwnProfile, Profile, own_profile, profile
from chat4all.wire.requests import ChangedUser, NewUser

_PATH = "/v1/users/{username}"


async def _with_current_password(
    session: Annotated[Session, Depends(caller)],
    profiles: Annotated[Profiles, bound(Profiles)],
    request: Request,
) -> None:
    """Name a current password that is needed beside all else that is wrong with a body."""
    body = await request.json()
    if (
        request.path_params["username"] != session.username
        or not isinstance(body, dict)
        or body.get("password") is None
        or body.get("current_password") is not None
        or await profiles.has_just_signed_in(session.session_id)
    ):
        return
    try:
        ChangedUser.model_validate(body)
    except ValidationError as error:
        found = [one | {"loc": ("body", *one["loc"])} for one in error.errors()]
        rule = {"type": "value_error", "msg": CURRENT_ONE_NEEDED}
        raise RequestValidationError(
            [*found, rule | {"loc": ("body", "current_password")}]
        ) from None


@cache
def user_routes() -> APIRouter:
    """Return the routes of users."""
    router = api_router("Users")

    @router.post(
        "/v1/users",
        summary="Sign up",
        operation_id="create_user",
        status_code=HTTPStatus.CREATED,
        responses={
            201: {
                "content": json_content(OwnProfile),
                "headers": rate_limited("sign-up", 20, 3600),
            },
            **problems(400, 403, 413, 415, 422, 429, 503),
            **problem_meaning(
                409,
                "The username or the e-mail address is in use, or a request with this "
                "`Idempotency-Key` is in flight.",
            ),
        },
    )
    @if_unknown(CREATION)
    async def create_user(
        signing_up: Annotated[SigningUp, bound(SigningUp)],
        limits: Annotated[Limits, bound(Limits)],
        new: NewUser,
        request: Request,
        key: IdempotencyKey,
    ) -> Response:
        """Create a user. 409 when the username or the e-mail is in use, 403 where it is closed."""
        act_as(Actor(address=client_of(request.scope)))
        limits.sign_up.take(request.scope, address_of(request.scope))
        user = await signing_up.sign_up(new.username, new.email, new.password, key=key)
        return json_response(own_profile(user), status=HTTPStatus.CREATED)

    @router.get(
        "/v1/users",
        summary="Find users",
        operation_id="find_users",
        responses={
            200: {"content": json_content(Profile, many=True), "headers": LINK_HEADER},
            **problems(401, 422, 503),
        },
    )
    async def find_users(
        session: Annotated[Session, Depends(caller)],
        profiles: Annotated[Profiles, bound(Profiles)],
        query: Annotated[
            str,
            Query(
                description="How their username or display name begins, in any case.",
                examples=["ca"],
                json_schema_extra={"maxLength": DISPLAY_NAME_MAX},
            ),
            AfterValidator(searched_name),
        ] = "",
        limit: Annotated[int, Query(ge=1, le=FIND_LIMIT_MAX)] = FIND_LIMIT_DEFAULT,
        cursor: Cursor = "",
    ) -> Response:
        """Return users by name, all of them or those whose name begins with `query`.

        The server may limit this to those who share a conversation with you, or to whole usernames.
        """
        users, after = await profiles.find(session.username, query, limit, cursor)
        response = json_response([profile(user) for user in users])
        link_next(response, "/v1/users", after, query=query, limit=limit)
        return response

    @router.get(
        "/v1/me",
        summary="Yourself",
        operation_id="read_me",
        responses={200: {"content": json_content(OwnProfile)}, **problems(401, 404, 503)},
    )
    async def me(
        session: Annotated[Session, Depends(caller)], profiles: Annotated[Profiles, bound(Profiles)]
    ) -> Response:
        """Return your own profile."""
        return json_response(own_profile(await profiles.user(session.username)))

    @router.get(
        _PATH,
        summary="Read a profile",
        operation_id="read_user",
        responses={
            200: {"content": json_content(OwnProfile, Profile)},
            **problems(401, 404, 422, 503),
        },
    )
    async def read_user(
        session: Annotated[Session, Depends(caller)],
        profiles: Annotated[Profiles, bound(Profiles)],
        username: UserPath,
    ) -> Response:
        """Return somebody's profile; the e-mail only of your own."""
        user = await profiles.user(username)
        return json_response(own_profile(user) if username == session.username else profile(user))

    @router.patch(
        _PATH,
        dependencies=[Depends(_with_current_password)],
        summary="Change yourself",
        operation_id="change_user",
        responses={
            200: {"content": json_content(OwnProfile)},
            **problems(400, 401, 403, 404, 413, 415, 422, 429, 503),
            **problem_meaning(409, "The e-mail address is in use."),
        },
    )
    @if_unknown(OWN_PROFILE)
    async def change_user(
        session: Annotated[Session, Depends(caller)],
        profiles: Annotated[Profiles, bound(Profiles)],
        limits: Annotated[Limits, bound(Limits)],
        username: UserPath,
        changed: ChangedUser,
        request: Request,
    ) -> Response:
        """Change your display name, e-mail or password; 403 for anybody else.

        A new password ends all your other sessions within 5 s.
        """
        _require_oneself(session, username)
        # Password guesses are limited here as they are when signing in.
        with limits.sign_in_account.count_failures(request.scope, username, NotAllowed):
            user = await profiles.change(
                session.username,
                display_name=changed.display_name,
                email=changed.email,
                password=changed.password,
                current_password=changed.current_password,
                keep=session.session_id,
            )
        return json_response(own_profile(user))

    @router.delete(
        _PATH,
        summary="Delete yourself",
        operation_id="delete_user",
        status_code=HTTPStatus.NO_CONTENT,
        responses=problems(401, 403, 404, 422, 503),
    )
    @if_unknown(LOGOUT)
    async def delete_user(
        session: Annotated[Session, Depends(caller)],
        profiles: Annotated[Profiles, bound(Profiles)],
        username: UserPath,
    ) -> None:
        """Erase your personal data and end your sessions and memberships, for good.

        What you wrote stays in its conversations, under a name that is nobody's.
        """
        _require_oneself(session, username)
        await profiles.erase(session.username, session.session_id)

    return router


def _require_oneself(session: Session, username: str) -> None:
    if username != session.username:
        raise NotAllowed("you can only change yourself")
