"""Users, oneself among them, and the devices that are signed in."""

from collections.abc import AsyncIterator
from urllib.parse import quote
from uuid import uuid4

from chat4all.client.calling import ME, Call, Caller
from chat4all.client.conversations import items
from chat4all.client.errors import NotFound, NotSignedIn
from chat4all.client.views import OwnProfile, Profile, SessionView

PATH = "/v1/users"
LOGOUT = Call("POST", "/v1/logout", done_when=(NotSignedIn,))


async def create_user(
    caller: Caller, username: str, email: str, password: str, key: str | None
) -> OwnProfile:
    """Create a user, once."""
    body = {"username": username, "email": email, "password": password}
    call = Call("POST", PATH, body=body, key=key or str(uuid4()), is_signed_in=False)
    return await caller.ask(call, OwnProfile)


class PeopleCalls:
    """What a client does with users and sessions."""

    _caller: Caller

    async def me(self) -> OwnProfile:
        """Return your own profile."""
        return await self._caller.ask(ME, OwnProfile)

    async def user(self, username: str) -> Profile:
        """Return somebody's profile."""
        return await self._caller.ask(Call("GET", _path(username)), Profile)

    def search_users(self, query: str = "", *, limit: int = 50) -> AsyncIterator[Profile]:
        """Yield users whose username or display name begins with `query`, by name."""
        return items(self._caller, PATH, Profile, query=query, limit=limit)

    async def change_me(
        self,
        *,
        display_name: str | None = None,
        email: str | None = None,
        password: str | None = None,
        current_password: str | None = None,
    ) -> OwnProfile:
        """Change your display name (empty: none), e-mail or password. None leaves it.

        A new password needs the current one and ends all your other sessions. After
        `OutcomeUnknown` the new one was set if you can sign in with it.
        """
        fields = {
            "display_name": display_name,
            "email": email,
            "password": password,
            "current_password": current_password,
        }
        body = {name: value for name, value in fields.items() if value is not None}
        path = _path(await self._caller.username())
        call = Call("PATCH", path, body=body, repeats=password is None)
        return await self._caller.ask(call, OwnProfile)

    async def delete_me(self) -> None:
        """Erase your personal data and end your sessions and memberships, for good."""
        path = _path(await self._caller.username())
        await self._caller.tell(Call("DELETE", path, done_when=(NotFound, NotSignedIn)))

    async def sessions(self) -> tuple[SessionView, ...]:
        """Return the devices where you are signed in, the last used one first."""
        return await self._caller.ask(Call("GET", "/v1/sessions"), tuple[SessionView, ...])

    async def end_session(self, session_id: str) -> None:
        """Sign one of your devices out."""
        path = f"/v1/sessions/{quote(session_id, safe='')}"
        await self._caller.tell(Call("DELETE", path, done_when=(NotFound, NotSignedIn)))

    async def logout(self) -> None:
        """End this session: its tokens are of no use any more."""
        await self._caller.tell(LOGOUT)


def _path(username: str) -> str:
    return f"{PATH}/{quote(username, safe='')}"
