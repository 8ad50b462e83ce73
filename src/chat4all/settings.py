"""Every setting, from the environment; read once, in `main`, and frozen."""

from ipaddress import ip_address
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from chat4all.domain.errors import StartRefused


class Settings(BaseSettings):
    """What can be set. Names without the prefix are those of the original interface."""

    model_config = SettingsConfigDict(
        env_prefix="CHAT4ALL_", frozen=True, extra="forbid", populate_by_name=True
    )

    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8000, ge=1, le=65535, description="The gateway's port.")
    metadata_port: int = Field(8001, ge=1, le=65535, description="The metadata service's port.")
    data: Path = Field(Path("chat4all-data"), description="Folder for all data.")
    demo: bool = Field(
        True, description="Make demonstration data in a new folder, on loopback only."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="`debug` also logs every request that went well."
    )
    log_retention_days: int = Field(
        30, ge=1, description="Days that routed records stay in the log; messages stay for ever."
    )
    secret_key: SecretStr | None = Field(
        None,
        validation_alias="SECRET_KEY",
        description="Signs tokens, 32 bytes or more; left out, one is made and kept with the data.",
    )
    access_token_expire_minutes: int = Field(
        30,
        ge=1,
        le=525_600,
        validation_alias="ACCESS_TOKEN_EXPIRE_MINUTES",
        description="How long a sign-in lasts.",
    )


def load_settings(**given: object) -> Settings:
    """Return the settings: what is `given`, else the environment, else the defaults.

    Raises `StartRefused` with one sentence that names the variable and what is wrong with it.
    """
    try:
        return Settings(**given)  # type: ignore[arg-type]
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        field = str(first["loc"][0]) if first["loc"] else ""
        name = field if field.isupper() else f"CHAT4ALL_{field.upper()}"
        raise StartRefused(f"{name} is not usable: {first['msg']}") from None


def is_loopback(host: str) -> bool:
    """Say whether an address can be reached from this machine only."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
