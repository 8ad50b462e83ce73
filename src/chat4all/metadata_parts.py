"""The metadata service's parts on a database of its own, and the parts of those who ask it.

On one machine there is neither: one process has the directory to itself (`processes.py`).
"""

import asyncio
import logging
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from pydantic import SecretStr

from chat4all.adapters.crypto import proof_of
from chat4all.adapters.metadata_http import (
    HttpDirectory,
    HttpMemberships,
    HttpOutbox,
    HttpSessions,
    HttpUsers,
    MetadataService,
)
from chat4all.adapters.remembering import (
    Following,
    FollowingDirectory,
    FollowingSessions,
    FollowingUsers,
)
from chat4all.adapters.sql import (
    Database,
    SqlDirectory,
    SqlMemberships,
    SqlOutbox,
    SqlSessions,
    SqlUsers,
    upgrade,
)
from chat4all.adapters.sql.server import ServerDatabase
from chat4all.adapters.sql.server_schema import check_revision
from chat4all.adapters.sql.urls import parse_database_url
from chat4all.domain.errors import NotFound, StartRefused, Unavailable
from chat4all.metadata import InternalEndpoint
from chat4all.ports import Directory, Memberships, Outbox, Sessions, Users
from chat4all.settings import Settings
from chat4all.web.health import Degraded, Ping
from chat4all.wire import internal

TRIM_EVERY_SECONDS = 60.0

COMPARE_EVERY_SECONDS = 30.0

SECRETS_DIFFER = (
    "the metadata service at {url} has another SECRET_KEY, so that tokens which are good here are "
    "answered with 401 elsewhere: set the same SECRET_KEY for all gateways and metadata services"
)

CREDENTIAL_MIN = 32
"""Characters."""

_CREDENTIAL = re.compile("[!-~]+")

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class OwnMetadata:
    """The users, directory and sessions on a database, and the endpoint for those who ask."""

    users: Users
    directory: Directory
    memberships: Memberships
    sessions: Sessions
    internal: InternalEndpoint
    ping: Ping


@dataclass(frozen=True, slots=True)
class AskedMetadata:
    """The users, directory and sessions of a metadata service elsewhere."""

    users: Users
    directory: Directory
    memberships: Memberships
    sessions: Sessions
    ping: Ping
    """Returns when what is remembered of them holds."""

    same_secret: Ping
    """Raises `Degraded` when that service has another `SECRET_KEY`."""


@asynccontextmanager
async def own_metadata(settings: Settings) -> AsyncIterator[OwnMetadata]:
    """Open the database of `DATABASE_URL`; a server may come later, and go and come back.

    A file gets its tables here; those on a server are made by `chat4all migrate`, and missing ones
    are what `ping` complains of. Raises `StartRefused` for settings that cannot be used.
    """
    credential = credential_of(settings)
    async with own_database(settings) as database:
        users, directory = SqlUsers(database), SqlDirectory(database)
        memberships, sessions = SqlMemberships(database), SqlSessions(database)
        outbox = SqlOutbox(database)
        trimming = asyncio.create_task(_trim(outbox), name="trimming the outbox")
        try:
            yield OwnMetadata(
                users,
                directory,
                memberships,
                sessions,
                InternalEndpoint(
                    credential.encode(),
                    users,
                    directory,
                    memberships,
                    sessions,
                    outbox,
                    secret_proofs=_proofs(settings),
                ),
                partial(check_revision, database),
            )
        finally:
            trimming.cancel()
            with suppress(asyncio.CancelledError):
                await trimming


@asynccontextmanager
async def own_database(settings: Settings) -> AsyncIterator[Database | ServerDatabase]:
    """Open the database of `DATABASE_URL`; see `own_metadata`."""
    if settings.database_url is None:
        raise StartRefused("DATABASE_URL is missing: cockroachdb://user@host:26257/database")
    where = parse_database_url(settings.database_url.get_secret_value())
    database: Database | ServerDatabase
    if isinstance(where, Path):
        database = Database(where)
        await upgrade(database)
    else:
        database = ServerDatabase(where)
    try:
        yield database
    finally:
        await database.close()


@asynccontextmanager
async def asked_metadata(settings: Settings) -> AsyncIterator[AskedMetadata]:
    """Follow the metadata service at `CHAT4ALL_METADATA_URL`, which may come later."""
    service = MetadataService(settings.metadata_url, credential_of(settings))
    try:
        following = Following(HttpOutbox(service))
        users = FollowingUsers(HttpUsers(service), following)
        directory = FollowingDirectory(HttpDirectory(service), following)
        sessions = FollowingSessions(HttpSessions(service), following)
        async with following.running():
            same = SameSecret(service, settings)
            yield AskedMetadata(
                users, directory, HttpMemberships(service), sessions, following.ping, same.ping
            )
    finally:
        await service.close()


class SameSecret:
    """Compares our `SECRET_KEY` with the metadata service's, and remembers for a while."""

    def __init__(self, service: MetadataService, settings: Settings) -> None:
        self._service = service
        self._settings = settings
        self._same = True
        self._ask_again = 0.0

    async def ping(self) -> None:
        """Raise `Degraded` when they differ; that the service is away is not told here."""
        if time.monotonic() >= self._ask_again:
            with suppress(Unavailable, NotFound):  # the service may be of an earlier release
                self._same = await same_secret(self._service, self._settings)
                self._ask_again = time.monotonic() + COMPARE_EVERY_SECONDS
        if not self._same:
            raise Degraded(SECRETS_DIFFER.format(url=self._settings.metadata_url))


async def same_secret(service: MetadataService, settings: Settings) -> bool:
    """Ask whether the metadata service accepts what is signed with our `SECRET_KEY`."""
    proof = internal.SameSecret(_proofs(settings)[0])
    return bool(await service.ask("same_secret", proof, bool, writes=False))


def _proofs(settings: Settings) -> tuple[bytes, ...]:
    """Return proofs of the key that signs, which comes first, and of those that are accepted."""
    secret = settings.secret_key
    signs = b"" if secret is None else proof_of(secret.get_secret_value().encode())
    return signs, *map(proof_of, settings.accepted_keys)


def credential_of(settings: Settings) -> str:
    """Return the credential of services; `StartRefused` for one that cannot be used."""
    given: SecretStr | None = settings.service_credential
    credential = "" if given is None else given.get_secret_value()
    if len(credential) < CREDENTIAL_MIN or _CREDENTIAL.fullmatch(credential) is None:
        raise StartRefused(
            f"CHAT4ALL_SERVICE_CREDENTIAL needs at least {CREDENTIAL_MIN} ASCII characters without "
            "spaces, the same for gateways and metadata services: make one with "
            "`openssl rand -hex 32`"
        )
    return credential


async def _trim(outbox: Outbox) -> None:
    while True:
        try:
            while await outbox.trim():
                pass
        except Unavailable as error:
            _log.warning("the outbox was not trimmed", extra={"cause": str(error)})
        await asyncio.sleep(TRIM_EVERY_SECONDS)
