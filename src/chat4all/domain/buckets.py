"""Where the files of a cluster are kept."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Bucket:
    """A bucket of an S3-compatible store, and who may use it."""

    endpoint: str
    name: str
    region: str
    access_key: str = field(repr=False)
    secret_key: str = field(repr=False)
    public_endpoint: str | None = None
    """Where clients reach the store; None if they are not to upload to it themselves."""

    def __str__(self) -> str:
        return f"the S3 store at {self.endpoint}"
