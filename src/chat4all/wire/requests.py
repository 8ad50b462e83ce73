"""The bodies of requests that FastAPI validates with pydantic, which only a server needs.

No other module of `wire` may import this one or pydantic: a client does without.
"""

from collections.abc import Callable, Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    EmailStr,
    Field,
    ModelWrapValidatorHandler,
    StringConstraints,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WithJsonSchema,
    WrapValidator,
    model_validator,
)

from chat4all.domain.errors import FieldError
from chat4all.domain.ids import username
from chat4all.domain.passwords import PASSWORD_MAX_BYTES, PASSWORD_MIN, password_errors
from chat4all.domain.people import (
    DISPLAY_NAME_MAX,
    MEMBERS_MAX,
    NOTE_KEY_MAX,
    NOTE_MAX,
    NOTES_MAX,
    TITLE_MAX,
    USERNAME_PATTERN,
    USERNAME_RULE,
    ConversationType,
    Role,
    display_name,
    note,
    note_key,
    private_errors,
    title,
    username_errors,
)

MemberName = Annotated[
    str, StringConstraints(min_length=1, max_length=32), AfterValidator(username)
]


# Texts are checked in their normal form, by the domain; their lengths are only described here.
def _length(least: int, most: int) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "minLength": least, "maxLength": most})


def _distinct(value: Any, validate: ValidatorFunctionWrapHandler) -> dict[str, str]:
    notes: dict[str, str] = validate(value)
    if len(notes) < len(value):
        raise ValueError("two keys are the same text")
    return notes


Title = Annotated[str, AfterValidator(title), _length(1, TITLE_MAX)]
Notes = Annotated[
    dict[
        Annotated[str, AfterValidator(note_key), _length(1, NOTE_KEY_MAX)],
        Annotated[str, AfterValidator(note), _length(0, NOTE_MAX)],
    ],
    WrapValidator(_distinct),
    Field(max_length=NOTES_MAX),
]

DisplayName = Annotated[str, AfterValidator(display_name), _length(0, DISPLAY_NAME_MAX)]


def _keeping(errors: Callable[[str], Sequence[FieldError]]) -> AfterValidator:
    """Return the validator by a rule of the domain, so that all broken fields are named at once."""

    def check(value: str) -> str:
        for error in errors(value):
            raise ValueError(error.detail)
        return value

    return AfterValidator(check)


def _private_errors(value: dict[str, Any]) -> list[FieldError]:
    members, has_title = value.get("members"), value.get("title") is not None
    names = {str(name) for name in members} if isinstance(members, list) else set()
    # Of two the creator, who is not known here, may be one.
    return private_errors(1 if len(names) == 2 else len(names), has_title=has_title)


def _with_more(error: ValidationError, more: Sequence[FieldError]) -> ValidationError:
    """Return an error that also names these fields of a body, unless it names them already."""
    found: list[Any] = [*error.errors()]
    named = {one["loc"][0] for one in found if one["loc"]}
    for one in more:
        if (name := one.pointer.removeprefix("/")) not in named:
            rule = {"error": ValueError(one.detail)}
            found.append({"type": "value_error", "loc": (name,), "input": None, "ctx": rule})
    return ValidationError.from_exception_data(error.title, found)


NewName = Annotated[str, _keeping(username_errors)]
NewPassword = Annotated[str, _keeping(password_errors)]


class Grant(BaseModel):
    """What is exchanged for tokens (RFC 6749, sections 4.3 and 6)."""

    grant_type: Literal["password", "refresh_token"] = "password"
    username: str | None = Field(None, description="With a password.", examples=["bruno"])
    password: str | None = Field(None, examples=["test"], json_schema_extra={"format": "password"})
    refresh_token: str | None = Field(None, description="In place of username and password.")


class NewUser(BaseModel):
    """Somebody who signs up."""

    username: NewName = Field(
        description=f"Stays the same for ever: {USERNAME_RULE}.",
        examples=["carla"],
        json_schema_extra={"pattern": USERNAME_PATTERN},
    )
    email: EmailStr = Field(max_length=320, examples=["carla@example.com"])
    password: NewPassword = Field(
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

    display_name: DisplayName | None = Field(
        None, description="Shown beside your username; empty takes it away.", examples=["Carla 🎈"]
    )
    email: EmailStr | None = Field(None, max_length=320, examples=["carla@example.org"])
    password: NewPassword | None = Field(
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

    @model_validator(mode="wrap")
    @classmethod
    def _name_all(cls, value: Any, validate: ModelWrapValidatorHandler[Self]) -> Self:
        """Name what is wrong with a private conversation beside fields that are broken alone."""
        try:
            return validate(value)
        except ValidationError as error:
            if isinstance(value, dict) and value.get("type") == ConversationType.PRIVATE:
                raise _with_more(error, _private_errors(value)) from None
            raise


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
