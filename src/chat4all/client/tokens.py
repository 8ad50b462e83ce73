"""The access token: where it comes from, and renewing it once for all that wait for it."""

import asyncio
import inspect
import logging
import math
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Protocol, TypeAlias

from chat4all.client.checking import checked_token, is_token
from chat4all.client.errors import ClientError, Closed, Defect, NotSignedIn, Refused, Unavailable
from chat4all.client.timing import ASK_SECONDS, LASTS, RENEWED_AGAIN_SECONDS, RENEWED_AT, Pace
from chat4all.client.views import Token

logger = logging.getLogger(__name__)

GetToken: TypeAlias = Callable[[], Awaitable[str | tuple[str, float]]]
"""Returns an access token, with the seconds for which it lasts where that is known."""
OnTokens: TypeAlias = Callable[[Token], Awaitable[None] | None]
Ask: TypeAlias = Callable[[Mapping[str, str]], Awaitable[Token]]
"""Exchanges a form for tokens at `POST /token`, with every retry."""


class Source(Protocol):
    """Where tokens come from."""

    async def next(self) -> tuple[str, float | None]:
        """Return another token, and the seconds for which it lasts, where that is known."""


class FixedToken:
    """The one token that a program has."""

    def __init__(self, token: str) -> None:
        self._token: str | None = checked_token(token)

    async def next(self) -> tuple[str, float | None]:
        """Return it, once."""
        token, self._token = self._token, None
        if token is None:
            raise NotSignedIn("the token is refused, and there is no other", status=401)
        return token, None


class AskedToken:
    """Tokens of a callable of the program."""

    def __init__(self, get_token: GetToken, pace: Pace) -> None:
        self._get_token = get_token
        self._pace = pace

    async def next(self) -> tuple[str, float | None]:
        """Return what the callable returns. It has a deadline: every call may wait for it."""
        try:
            async with asyncio.timeout(self._pace.of(ASK_SECONDS)):
                found = await self._get_token()
        except TimeoutError:
            raise Unavailable("`get_token` does not return") from None
        token, seconds = found if isinstance(found, tuple) else (found, None)
        if not is_token(token):
            raise Defect("`get_token` returns what is no access token")
        return token, seconds


class Session:
    """A sign-in: by password or by a refresh token at first, by each next refresh token later."""

    def __init__(self, ask: Ask, form: Mapping[str, str], on_tokens: OnTokens | None) -> None:
        self._ask = ask
        self._form = form
        self._on_tokens = on_tokens
        self._why_ended: Refused | None = None
        self._has_begun = False

    async def next(self) -> tuple[str, float | None]:
        """Sign in or refresh. What is refused once ends the session for good."""
        if (why := self._why_ended) is None:
            try:
                token = await self._ask(self._form)
            except Refused as refused:
                if not refused.type:
                    raise self._misdirected(refused) from None
                why = self._why_ended = refused
        if why is not None:
            raise NotSignedIn(why.detail, status=why.status)
        self._has_begun = True
        self._form = {"grant_type": "refresh_token", "refresh_token": token.refresh_token}
        if self._on_tokens is not None:
            # The refresh token is good once: the program keeps the next one before it is used.
            kept = self._on_tokens(token)
            if inspect.isawaitable(kept):
                await kept
        return token.access_token, float(token.expires_in)

    def _misdirected(self, refused: Refused) -> ClientError:
        """Return the error for a refusal that is not of Chat4All, but of something before it."""
        said = f"signing in is answered with {refused.status}"
        if self._has_begun:
            return Unavailable(said, status=refused.status)
        return Defect(f"{said}: is it the address of Chat4All?")


class Tokens:
    """The token of now. However many callers find it spent, it is renewed once.

    While it lasts nobody waits for the next one: the part that gives tokens may not work just then.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._token: str | None = None
        self._ends_at = math.inf
        self._renewal: asyncio.Task[str] | None = None
        self.renew_at: float | None = None
        """When to renew it, by the monotonic clock; None where that is unknown."""

    @property
    def is_signed_in(self) -> bool:
        """Whether there was a token."""
        return self._token is not None

    async def get(self, refused: str | None = None) -> str:
        """Return a token other than the one that was `refused`, and not one that has expired."""
        token, now = self._token, time.monotonic()
        is_due = self.renew_at is not None and now >= self.renew_at
        if token is not None and token != refused and (not is_due or now < self._ends_at):
            if is_due:
                self._renewing()
            return token
        try:
            return await self._next()
        except Unavailable:
            if token is None or token == refused:
                raise
            return token  # good until it is refused

    async def renewed(self) -> str:
        """Return the next token, once it is due; the same one where none is to be had now."""
        with suppress(Unavailable):
            return await self._next()
        return await self.get()

    async def close(self) -> None:
        """End a renewal that is under way."""
        if self._renewal is not None:
            self._renewal.cancel()
            await asyncio.wait([self._renewal])

    async def _next(self) -> str:
        renewal = self._renewing()
        try:
            return await asyncio.shield(renewal)
        except asyncio.CancelledError:
            waiting = asyncio.current_task()
            if renewal.cancelled() and waiting is not None and not waiting.cancelling():
                # The waiting task was not cancelled, and must not end as if it had been.
                raise Closed("the client was closed") from None
            raise

    def _renewing(self) -> asyncio.Task[str]:
        if self._renewal is None:
            # Not cancelled with one of those who wait: a refresh token is spent by asking.
            self._renewal = asyncio.create_task(self._renew(), name="chat4all-token")
            self._renewal.add_done_callback(self._renewed)
        return self._renewal

    async def _renew(self) -> str:
        token, seconds = await self._source.next()
        self._token = token
        now = time.monotonic()
        self._ends_at = math.inf if seconds is None else now + LASTS * seconds
        self.renew_at = None if seconds is None else now + RENEWED_AT * seconds
        return token

    def _renewed(self, renewal: asyncio.Task[str]) -> None:
        self._renewal = None
        if not renewal.cancelled() and (error := renewal.exception()) is not None:
            self.renew_at = self.renew_at and time.monotonic() + RENEWED_AGAIN_SECONDS
            # Those who wait have it, but there may be none. The program's own may have a secret.
            why = error if isinstance(error, ClientError) else type(error).__name__
            logger.warning("the token was not renewed: %s", why)
