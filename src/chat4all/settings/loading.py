"""Loading the settings: once, when a command starts; and one sentence where that cannot be."""

import os
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from pydantic import SecretStr, ValidationError

from chat4all.domain.errors import StartRefused
from chat4all.settings import names
from chat4all.settings.names import PREFIX, refuse_misspelt
from chat4all.settings.reading import Settings


@cache
def setting_names() -> Sequence[str]:
    """Return the name of every setting, the second names of some included."""
    return tuple(name for field in Settings.model_fields for name in names_of(field))


def names_of(field: str) -> Sequence[str]:
    """Return the names of one setting in the environment; the first is the usual one."""
    return names.names_of(field, Settings.model_fields[field])


def unknown_names() -> dict[str, list[str]]:
    """Return what a log should tell of the names in the environment; see `names.unknown_names`."""
    return names.unknown_names(os.environ, setting_names())


def check_names() -> None:
    """Raise `StartRefused` for a name in the environment that is probably a typing error."""
    refuse_misspelt(os.environ, setting_names())


def load_settings(**options: object) -> Settings:
    """Return the settings: the `options`, else the environment, else the defaults.

    Raises `StartRefused` with one sentence that names the variable and what is wrong with it.
    """
    check_names()
    try:
        return _with_secrets_of_files(Settings(**options))  # type: ignore[arg-type]
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        field = str(first["loc"][0]) if first["loc"] else ""
        name = field if field.isupper() else f"{PREFIX}{field.upper()}"
        detail = str(first["msg"]).removeprefix("Value error, ")
        if first["type"].startswith("bool_"):
            detail = "write true or false"
        raise StartRefused(f"{name} is not usable: {detail}") from None


def _with_secrets_of_files(settings: Settings) -> Settings:
    """Add the secrets that are in files, as container platforms provide them."""
    read = {}
    for field, variable in (
        ("secret_key", "SECRET_KEY"),
        ("service_credential", "CHAT4ALL_SERVICE_CREDENTIAL"),
        ("s3_secret_key", "CHAT4ALL_S3_SECRET_KEY"),
    ):
        file: Path | None = getattr(settings, f"{field}_file")
        if file is None:
            continue
        if getattr(settings, field) is not None:
            raise StartRefused(f"{variable} and {variable}_FILE are both set: leave one out")
        read[field] = SecretStr(_read(variable, file))
    found = settings.model_copy(update=read)
    if (file := settings.secret_key_file) is not None:
        beside = [file.with_name(f"{file.name}.{which}") for which in ("next", "previous")]
        # Not by the setting's text, which ends a key at a comma and at a line's end.
        found._keys_beside = tuple(
            _read("SECRET_KEY", other).encode() for other in beside if other.exists()
        )
    return found


def _read(variable: str, file: Path) -> str:
    try:
        return file.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise StartRefused(f"{variable}_FILE is not usable: {file}: {reason}") from None
