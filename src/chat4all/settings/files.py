"""The settings of files: where they are in a cluster, and how much there may be."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr
from pydantic_settings import BaseSettings, NoDecode

from chat4all.domain.buckets import Bucket
from chat4all.domain.errors import StartRefused
from chat4all.domain.files import FILE_MAX, UPLOAD_RATE, FileLimits, Quota
from chat4all.settings.addresses import ServerAddress
from chat4all.settings.names import PREFIX
from chat4all.settings.parts import FileSettings

PER_USER = 10 * 1024**3
"""Bytes of one user's files and uploads, while nothing else is set."""

_SIZE = re.compile(r"(\d{1,18})\s?(?:([KMGT])iB)?")
_UNITS = {"": 1, "K": 1024, "M": 1024**2, "G": 1024**3, "T": 1024**4}
_HOST = re.compile(r"[A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\]")
_PATH_MAX = 107
"""Bytes of the path of a Unix socket."""
_TYPES = ("application", "audio", "font", "image", "model", "text", "video")


def bytes_of(text: object) -> object:
    """Return how many bytes `500MiB` or `2GiB` are; what is no text is left as it is."""
    if not isinstance(text, str):
        return text
    found = _SIZE.fullmatch(text.strip())
    if found is None:
        raise ValueError("write bytes as a whole number, or as 500MiB or 2GiB")
    return int(found[1]) * _UNITS[found[2] or ""]


def _by_type(text: object) -> object:
    if not isinstance(text, str):
        return text
    limits = {}
    for part in filter(None, (raw.strip() for raw in text.split(","))):
        name, _, size = part.partition("=")
        if name not in _TYPES:
            raise ValueError(f"write it as image=20MiB,video=1GiB; types are {', '.join(_TYPES)}")
        limits[name] = bytes_of(size)
    return limits


def _clamd_address(text: str) -> str:
    """Return an address of clamd."""
    host, colon, port = text.rpartition(":")
    is_path = text.startswith("/") and "\0" not in text and len(text.encode()) <= _PATH_MAX
    is_host = colon and _HOST.fullmatch(host) and port.isdecimal() and 0 < int(port[:6]) < 65_536
    if not (is_path or is_host):
        raise ValueError("write it as host:port or as the absolute path of a socket")
    return text


_Bytes = Annotated[int, BeforeValidator(bytes_of)]
_ByType = Annotated[Mapping[str, int], NoDecode, BeforeValidator(_by_type)]


class FileValues(BaseSettings):
    """What can be set for files."""

    s3_endpoint: ServerAddress | None = Field(
        None,
        description="The address of a cluster's store of files, which is S3-compatible.",
    )
    s3_public_endpoint: ServerAddress | None = Field(
        None,
        description="Where clients reach that store, to upload to it themselves.",
    )
    s3_bucket: str | None = Field(
        None, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{2,62}$", description="Its bucket for files."
    )
    s3_region: str = Field("us-east-1", pattern=r"^[A-Za-z0-9-]+$", description="Its region.")
    s3_access_key: SecretStr | None = Field(
        None, min_length=1, description="The access key that may use the bucket."
    )
    s3_secret_key: SecretStr | None = Field(None, description="The secret of that access key.")
    s3_secret_key_file: Path | None = Field(None, description="A file that contains it, instead.")
    file_max: _Bytes = Field(FILE_MAX, ge=1, le=FILE_MAX, description="Bytes of one file.")
    file_max_by_type: _ByType = Field(
        {}, description="Bytes of one file by the first half of its declared type, if less."
    )
    files_per_user: _Bytes = Field(
        PER_USER, ge=1, description="Bytes of one user's files and uploads."
    )
    files_total: _Bytes | None = Field(None, ge=1, description="Bytes of all files and uploads.")
    upload_rate: _Bytes = Field(
        UPLOAD_RATE,
        ge=64 * 1024,
        description="Bytes a second of all uploads to a gateway while messages are being sent.",
    )
    clamd_address: Annotated[str, AfterValidator(_clamd_address)] | None = Field(
        None, description="ClamAV's daemon, which scans files: host:port, or a Unix socket's path."
    )

    @property
    def files(self) -> FileSettings:
        """The part for what serves files. Raises `StartRefused` where half of a store is set."""
        return FileSettings(
            self._s3(),
            FileLimits(self.file_max, self.file_max_by_type),
            Quota(of_user=self.files_per_user, in_all=self.files_total),
            self.upload_rate,
            self.clamd_address,
        )

    def _s3(self) -> Bucket | None:
        endpoint, bucket, key, secret = needed = (
            self.s3_endpoint,
            self.s3_bucket,
            self.s3_access_key,
            self.s3_secret_key,
        )
        if endpoint and bucket and key and secret:
            return Bucket(
                endpoint,
                bucket,
                self.s3_region,
                key.get_secret_value(),
                secret.get_secret_value(),
                self.s3_public_endpoint,
            )
        if any(needed) or self.s3_public_endpoint:
            names = ("ENDPOINT", "BUCKET", "ACCESS_KEY", "SECRET_KEY")
            missing = [name for name, value in zip(names, needed, strict=True) if not value]
            raise StartRefused(
                f"the store of files needs {' and '.join(f'{PREFIX}S3_{name}' for name in missing)}"
                " too: set it, or unset the others to have no files"
            )
        return None
