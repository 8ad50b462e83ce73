"""What every process that answers people is made of: signing in and up, membership, markers."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import uuid_utils
from fastapi import APIRouter

from chat4all.metadata import metadata_routes
from chat4all.ports import (
    Directory,
    Memberships,
    MessageLog,
    MessageStore,
    Passwords,
    Sessions,
    Tokens,
    Users,
)
from chat4all.settings import Settings
from chat4all.usecases.listing import Listing
from chat4all.usecases.marking import Marking
from chat4all.usecases.membership import Membership
from chat4all.usecases.profiles import Profiles
from chat4all.usecases.shown_names import ShownNames
from chat4all.usecases.signing_in import Lifetimes, SigningIn
from chat4all.usecases.signing_up import SigningUp
from chat4all.web.limits import Limits, make_limits, no_limits

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class People:
    """The use cases that are about people."""

    signing_in: SigningIn
    signing_up: SigningUp
    profiles: Profiles
    marking: Marking
    membership: Membership
    listing: Listing
    names: ShownNames

    def routes(self, limits: Limits) -> Sequence[APIRouter]:
        """Return the metadata service's routes, which a gateway serves as well."""
        return metadata_routes(
            self.signing_in,
            self.signing_up,
            self.profiles,
            self.membership,
            self.listing,
            limits,
        )


def make_people(
    settings: Settings,
    tokens: Tokens,
    *,
    users: Users,
    directory: Directory,
    memberships: Memberships,
    sessions: Sessions,
    passwords: Passwords,
    log: MessageLog,
    store: MessageStore,
) -> People:
    """Return them; the log and the store are for the markers of who joins."""
    marking = Marking(log, store, directory)
    names = ShownNames(users)
    return People(
        SigningIn(
            users,
            sessions,
            passwords,
            tokens,
            Lifetimes(settings.access_token_expire_minutes * 60, settings.session_days * 86_400),
        ),
        SigningUp(users, passwords, is_open=settings.sign_up == "open"),
        Profiles(users, sessions, passwords),
        marking,
        Membership(users, directory, marking),
        Listing(store, memberships, names),
        names,
    )


def new_message_id() -> str:
    """Return an id for a message whose sender chose none: a UUIDv7 of now."""
    return str(uuid_utils.uuid7())


def limits_of(settings: Settings) -> Limits:
    """Return the limits that are set, and warn when there are none."""
    if settings.rate_limits:
        return make_limits(
            send_per_second=settings.send_per_second, sign_ups_per_hour=settings.sign_ups_per_hour
        )
    _log.warning("rate limits are off: anybody may send and guess passwords without end")
    return no_limits()
