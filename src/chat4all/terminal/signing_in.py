"""The tokens of an account, which all commands of its user share, also those that run at once."""

import asyncio
import fcntl
import json
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass

from chat4all import __version__
from chat4all.client import (
    Client,
    ClientError,
    InvalidCertificate,
    NotSignedIn,
    Refused,
    Token,
    Unavailable,
)
from chat4all.terminal.accounts import Account
from chat4all.terminal.failing import Failed

DEVICE = f"chat4all/{__version__} (command line)"
"""How it is called in the list of sessions."""

SPARE_SECONDS = 30.0
"""A token that ends so soon is renewed before it is used."""

LOCK_SECONDS = 15.0
"""For another process to renew the tokens: longer than a call may take."""

CALL_SECONDS = 10.0
"""What a call may take, with all retries: somebody waits for it."""

SETTLE_SECONDS = 3.0
"""For tokens that are being renewed when the command is ended: those before may be spent."""

_LOOK_SECONDS = 0.05


@dataclass(frozen=True)
class Kept:
    """The tokens as they are kept."""

    access_token: str
    refresh_token: str
    ends_at: float
    """When the access token ends, in seconds since 1970."""

    @classmethod
    def of(cls, token: Token) -> "Kept":
        """Return what is kept of tokens that were given just now."""
        return cls(token.access_token, token.refresh_token, time.time() + token.expires_in)

    def encoded(self) -> str:
        """Return it as it is kept."""
        return json.dumps(asdict(self))


def read_kept(account: Account) -> Kept | None:
    """Return the tokens of an account; None where there are none. Raises `Failed`. Blocks."""
    text = account.vault.read()
    try:
        return None if text is None else Kept(**json.loads(text))
    except (ValueError, TypeError):
        raise Failed(f"the tokens of {account} are damaged: sign in again") from None


class SharedTokens:
    """Gives access tokens of an account, and renews them for all processes that use it.

    A refresh token is good once. So whoever renews holds a lock, looks whether another one has done
    it, and keeps the next refresh token before it is used.
    """

    def __init__(self, account: Account) -> None:
        self._account = account
        self._given = ""
        self._seen: Kept | None = None

    async def get(self) -> tuple[str, float]:
        """Return an access token, and for how many seconds it lasts.

        It is another one each time, since the last one was refused or is about to end.
        """
        kept = await self._read()
        if not self._is_good(kept):
            async with locked(self._account):
                kept = await self._read()
                if not self._is_good(kept):
                    kept = await self._renewed(kept)
        self._given, self._seen = kept.access_token, kept
        return kept.access_token, kept.ends_at - time.time()

    async def were_replaced(self) -> bool:
        """Say whether other tokens are kept than those that were found here."""
        try:
            kept = await asyncio.to_thread(read_kept, self._account)
        except Failed:
            return False
        return kept is not None and kept != self._seen

    def _is_good(self, kept: Kept) -> bool:
        return kept.access_token != self._given and time.time() < kept.ends_at - SPARE_SECONDS

    async def _read(self) -> Kept:
        try:
            kept = await asyncio.to_thread(read_kept, self._account)
        except Failed as failed:
            raise NotSignedIn(str(failed)) from None
        if kept is None:
            raise _signed_out(self._account)
        self._seen = kept
        return kept

    async def _renewed(self, kept: Kept) -> Kept:
        renewing = asyncio.create_task(self._renew(kept), name="chat4all-renewal")
        try:
            return await asyncio.shield(renewing)
        except asyncio.CancelledError:
            await asyncio.wait([renewing], timeout=SETTLE_SECONDS)
            renewing.cancel()
            await asyncio.wait([renewing])
            raise

    async def _renew(self, kept: Kept) -> Kept:
        found: list[Kept] = []

        async def keep(token: Token) -> None:
            found.append(Kept.of(token))
            await asyncio.to_thread(self._account.vault.write, found[0].encoded())

        try:
            async with Client(
                self._account.url,
                refresh_token=kept.refresh_token,
                on_tokens=keep,
                timeout=CALL_SECONDS,
                user_agent=DEVICE,
            ) as renewing:
                await renewing.me()
        except ClientError as error:
            if self._given and isinstance(error, InvalidCertificate):
                # What has been running is not ended by it: the certificate will be renewed.
                raise Unavailable(str(error)) from None
            if not found and isinstance(error, Refused):
                raise NotSignedIn(
                    f"the session of {self._account} has ended: `chat4all login`"
                ) from None
            if not found:
                raise
        return found[0]


@asynccontextmanager
async def locked(account: Account) -> AsyncIterator[None]:
    """Let no other process change the tokens of an account meanwhile. Raises `Unavailable`."""
    try:
        handle = os.open(account.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        raise _signed_out(account) from None
    try:
        try:
            async with asyncio.timeout(LOCK_SECONDS):
                while not _lock(handle):  # noqa: ASYNC110 - of another process
                    await asyncio.sleep(_LOOK_SECONDS)
        except TimeoutError:
            why = "another `chat4all` has been renewing the tokens for too long"
            raise Unavailable(why) from None
        yield
    finally:
        os.close(handle)


def client_of(
    account: Account, seconds: float = CALL_SECONDS, tokens: SharedTokens | None = None
) -> Client:
    """Return a client of an account, to be used by `async with`. A call has so many seconds."""
    get_token = (tokens or SharedTokens(account)).get
    return Client(account.url, get_token=get_token, timeout=seconds, user_agent=DEVICE)


def _signed_out(account: Account) -> NotSignedIn:
    return NotSignedIn(f"{account} is signed out: `chat4all login`")


def _lock(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
