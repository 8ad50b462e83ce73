"""The findings of checks."""

from dataclasses import dataclass
from enum import StrEnum


class Status(StrEnum):
    """How bad it is. Only a problem makes the exit status 1."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found, in sentences: the state, and what to do about it."""

    status: Status
    says: str
    do: str | None = None
