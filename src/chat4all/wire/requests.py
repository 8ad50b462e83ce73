"""The bodies of requests that FastAPI validates with pydantic, which only a server needs.

No other module of `wire` may import this one or pydantic: a client does without.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, EmailStr, Field, StringConstraints

from chat4all.domain.people import (
    MEMBERS_MAX,
    PASSWORD_MAX_BYTES,
    PASSWORD_MIN,
    TITLE_MAX,
    USERNAME_PATTERN,
    USERNAME_RULE,
    ConversationType,
    Role,
)

MemberName = Annotated[str, StringConstraints(min_length=1, max_length=32)]
Title = Annotated[str, StringConstraints(min_length=1, max_length=TITLE_MAX)]
Notes = Annotated[
    dict[
        Annotated[str, StringConstraints(min_length=1, max_length=64)],
        Annotated[str, StringConstraints(max_length=1_000)],
    ],
    Field(max_length=32),
]


class Grant(BaseModel):
    """What is exchanged for tokens (RFC 6749, sections 4.3 and 6)."""

    grant_type: Literal["password", "refresh_token"] = "password"
    username: str | None = Field(None, description="With a password.", examples=["bruno"])
    password: str | None = Field(None, examples=["test"], json_schema_extra={"format": "password"})
    refresh_token: str | None = Field(None, description="In place of username and password.")


class NewUser(BaseModel):
    """Somebody who signs up."""

    # The domain checks the rules, with better error texts; here they are only described.
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


class NewConversation(BaseModel):
    """A conversation to be created, by one of its members."""

    type: ConversationType = Field(examples=["group"])
    title: Title | None = Field(None, description="For groups.", examples=["Equipe"])
    members: list[MemberName] = Field(
        max_length=MEMBERS_MAX,
        description="The others; you are in it anyway. Exactly one for `private`.",
        examples=[["ana"]],
    )
    metadata: Notes = Field(
        default_factory=dict,
        description="Your own notes about it.",
        examples=[{"ticket": "4711"}],
    )


class ChangedConversation(BaseModel):
    """What to change; what is left out stays."""

    title: Title | None = Field(None, examples=["Equipe"])
    metadata: Notes | None = Field(None, description="In place of all that were there.")


class NewMember(BaseModel):
    """Somebody to be let in."""

    username: MemberName = Field(examples=["ana"])
    role: Role = Field(Role.MEMBER, description="Only an owner gives another one.")


class NewRole(BaseModel):
    """A member's new role."""

    role: Role = Field(examples=["admin"])
