"""The client of a Chat4All server."""

from ssl import SSLContext
from types import TracebackType
from typing import Self

from chat4all.client.calling import Caller
from chat4all.client.conversations import ConversationCalls
from chat4all.client.events import Positions
from chat4all.client.files import FileCalls
from chat4all.client.live import Events, Live
from chat4all.client.messages import Recent
from chat4all.client.people import LOGOUT, PeopleCalls, create_user
from chat4all.client.timing import CALL_SECONDS, LOGOUT_SECONDS, Pace
from chat4all.client.tokens import (
    AskedToken,
    FixedToken,
    GetToken,
    OnTokens,
    Session,
    Source,
    Tokens,
)
from chat4all.client.views import OwnProfile, Token

QUEUE_MAX = 1_000
"""Events that wait for a program; each message of a reload counts."""


class Client(FileCalls, ConversationCalls, PeopleCalls):
    """A user of a Chat4All server; use it by `async with`.

    `url` is the gateway's, such as `https://chat.example.com`. The user signs in with `username`
    and `password`, or with a `refresh_token` of an earlier session, or a `token` is given, or
    `get_token` is called whenever another one is needed: a coroutine function that returns an
    access token, or a pair of it and the seconds for which it lasts. With those it is renewed
    before it ends, and no connection ends with it. `on_tokens` is called with each new pair of
    tokens before it is used: keep its `refresh_token` if you mean to go on with this session later.

    `timeout` is how long one call may take with all its tries, in seconds. `queue_max` is how many
    events wait for a loop that is slow; each message that is reloaded counts as one. `ssl` is for
    certificates that the system does not know. `user_agent` names the device in the list of
    sessions.

    One client belongs to one event loop. Any number of tasks may use it at once.
    """

    def __init__(
        self,
        url: str,
        username: str | None = None,
        password: str | None = None,
        *,
        token: str | None = None,
        get_token: GetToken | None = None,
        refresh_token: str | None = None,
        on_tokens: OnTokens | None = None,
        timeout: float = CALL_SECONDS,
        queue_max: int = QUEUE_MAX,
        user_agent: str | None = None,
        ssl: SSLContext | None = None,
    ) -> None:
        self._pace = Pace()
        self._recent = Recent()
        self._caller = Caller(url, timeout, self._pace, ssl=ssl, user_agent=user_agent)
        ways = {
            "username and password": username and password and (username, password),
            "token": token,
            "get_token": get_token,
            "refresh_token": refresh_token,
        }
        if len(given := [name for name, value in ways.items() if value]) != 1:
            raise ValueError(f"give one of {', '.join(ways)}; given: {', '.join(given) or 'none'}")
        self._owns_session = bool(password) and on_tokens is None
        if token:
            source: Source = FixedToken(token)
        elif get_token:
            source = AskedToken(get_token, self._pace)
        else:
            form = (
                {"grant_type": "refresh_token", "refresh_token": refresh_token}
                if refresh_token
                else {"username": username or "", "password": password or ""}
            )
            source = Session(self._caller.token, form, on_tokens)
        self._tokens = self._caller.tokens = Tokens(source)
        self._live = Live(self._caller, self._tokens, self._pace, queue_max)

    async def __aenter__(self) -> Self:
        await self._caller.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """End the connections. `async with` does it.

        A session that began with the password ends as well, unless `on_tokens` has kept it.
        """
        try:
            await self._live.close()
            if self._owns_session and self._tokens.is_signed_in:
                await self._caller.once(LOGOUT, LOGOUT_SECONDS)
        finally:  # also where the program is cancelled once more
            await self._caller.__aexit__()

    def events(self, since: Positions | None = None) -> Events:
        """Return what happens in all your conversations, to loop over with `async for`.

        It begins where `since` says, which is what `positions` was in an earlier run; without it
        where an earlier loop of this client has ended, at first with what happens from now on. An
        event counts as taken when the next one is asked for: only then `positions` moves. The loop
        goes on for ever, over connections that follow one another. Calling the client inside it
        is fine. There is one loop at a time: a new one ends the one before.

        Raises `NotSignedIn` when there is no good token any more, and `Defect`.
        """
        return self._live.events(since)

    @property
    def positions(self) -> Positions:
        """How far events were taken, to be given to `events(since=…)` in a later run; it is JSON.

        Inside a loop the event in hand is not among them yet: keep them where what you made of
        the event before is kept.
        """
        return self._live.positions

    async def typing(self, conversation: str) -> None:
        """Say that you are typing; again every few seconds while it is so.

        It goes through the connection of `events`, and is lost while there is none.
        """
        await self._live.typing(conversation)

    async def watch(self, *usernames: str) -> None:
        """Ask for `PresenceChanged` of these users (at most 200), in place of those before.

        They have to share a conversation with you. It holds for later connections too.
        """
        await self._live.watch(usernames)

    @staticmethod
    async def sign_up(
        url: str,
        username: str,
        email: str,
        password: str,
        *,
        key: str | None = None,
        ssl: SSLContext | None = None,
    ) -> OwnProfile:
        """Create a user. `Conflict` when the name or the e-mail is in use."""
        async with Caller(url, CALL_SECONDS, Pace(), ssl=ssl) as caller:
            return await create_user(caller, username, email, password, key)


async def sign_in(
    url: str,
    username: str,
    password: str,
    *,
    user_agent: str | None = None,
    ssl: SSLContext | None = None,
) -> Token:
    """Return the tokens of a new session, for programs that keep them themselves."""
    async with Caller(url, CALL_SECONDS, Pace(), ssl=ssl, user_agent=user_agent) as caller:
        return await caller.token({"username": username, "password": password})
