"""Names in the environment: which are settings, and which were probably meant to be."""

import re
from collections.abc import Iterator, Mapping, Sequence

from pydantic import AliasChoices
from pydantic.fields import FieldInfo

from chat4all.domain.errors import StartRefused

PREFIX = "CHAT4ALL_"
"""Of every name that the original interface does not have."""

TYPO_EDITS = 2
"""A name that differs from a setting's by so many letters is taken for a typing error."""

_TOOLS = frozenset(
    ("CHAT4ALL_URL", "CHAT4ALL_USER", "CHAT4ALL_PASSWORD", "CHAT4ALL_CHAT", "CHAT4ALL_ENGINES")
)
"""Read by the commands of users, by the example clients and by the engines for development."""

# A service named chat4all, or chat4all-something, has all containers beside it get such variables:
# https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables
# and, with links, https://docs.docker.com/engine/network/links/#environment-variables
_INJECTED = re.compile(
    r".*_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_(ADDR|PORT|PROTO))?|ENV_\w+)"
)
_INJECTED_PORT = re.compile(r"(tcp|udp|sctp)://.*")
_INJECTED_NAME = re.compile(r"/[^/]+/[^/]+")


def names_of(field: str, info: FieldInfo) -> Sequence[str]:
    """Return the names of one setting in the environment; the first is the usual one."""
    alias = info.validation_alias
    if isinstance(alias, AliasChoices):
        return [str(choice) for choice in alias.choices]
    return [alias if isinstance(alias, str) else f"{PREFIX}{field.upper()}"]


def is_injected(name: str, value: str) -> bool:
    """Say whether a container platform set this, not a person."""
    if _INJECTED.fullmatch(name):
        return True
    if name.endswith("_PORT"):
        return _INJECTED_PORT.fullmatch(value) is not None
    return name.endswith("_NAME") and _INJECTED_NAME.fullmatch(value) is not None


def refuse_misspelt(environment: Mapping[str, str], settings: Sequence[str]) -> None:
    """Raise `StartRefused` for a name of ours that is nearly, but not quite, one that is read."""
    known = (*settings, *sorted(_TOOLS))
    for name in _unknown(environment, settings):
        if name.startswith(PREFIX) and (meant := nearest(name, known)):
            raise StartRefused(f"{name} is no setting: did you mean {meant}? Rename or remove it")


def unknown_names(environment: Mapping[str, str], settings: Sequence[str]) -> dict[str, list[str]]:
    """Return what a log should tell of the names in an environment; nothing if there is nothing.

    `names` are of ours and unknown. `perhaps_misspelt` are nearly the name of a setting without our
    prefix that is not set; they may be another program's, so that they stop nothing.
    """
    unset = [s for s in settings if not s.startswith(PREFIX) and s not in environment]
    found: dict[str, list[str]] = {}
    for name in _unknown(environment, settings):
        if name.startswith(PREFIX):
            found.setdefault("names", []).append(name)
        elif meant := nearest(name, unset):
            found.setdefault("perhaps_misspelt", []).append(f"{name} for {meant}")
    return found


def nearest(name: str, known: Sequence[str]) -> str | None:
    """Return the known name that is nearest to this one, if it is within `TYPO_EDITS`."""
    similar = [one for one in known if abs(len(one) - len(name)) <= TYPO_EDITS]
    nothing = (TYPO_EDITS + 1, "")
    distance, one = min(((edits(name, one), one) for one in similar), default=nothing)
    return one if distance <= TYPO_EDITS else None


def edits(one: str, other: str) -> int:
    """Return how many letters must be inserted, removed or replaced to make one the other."""
    row = list(range(len(other) + 1))
    for n, letter in enumerate(one, 1):
        before, row[0] = row[0], n
        for m, another in enumerate(other, 1):
            replaced = before + (letter != another)
            before, row[m] = row[m], min(replaced, row[m] + 1, row[m - 1] + 1)
    return row[-1]


def _unknown(environment: Mapping[str, str], settings: Sequence[str]) -> Iterator[str]:
    known = {*settings, *_TOOLS}
    for raw, value in sorted(environment.items()):
        name = raw.upper()  # as settings are read
        if name not in known and not is_injected(name, value):
            yield name
