"""Conversations and their members."""

from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Any, TypeVar
from urllib.parse import quote
from uuid import uuid4

from chat4all.client.calling import Call, Caller, read
from chat4all.client.errors import NotFound
from chat4all.client.views import Conversation, ListedConversation, Member, WholeConversation

T = TypeVar("T")

PATH = "/v1/conversations"


def conversation_path(conversation: str) -> str:
    """Return the path of a conversation."""
    return f"{PATH}/{quote(conversation, safe='')}"


def member_path(conversation: str, username: str = "") -> str:
    """Return the path of a conversation's members, or of one."""
    members = f"{conversation_path(conversation)}/members"
    return f"{members}/{quote(username, safe='')}" if username else members


async def items(caller: Caller, path: str, kind: type[T], **query: Any) -> AsyncIterator[T]:
    """Yield what a list has, page by page."""
    next_path: str | None = path
    while next_path is not None:
        answer = await caller.response(Call("GET", next_path, query=query))
        for item in read(answer, list[kind]):  # type: ignore[valid-type]
            yield item
        # It names the query too.
        next_path, query = answer.links.get("next", {}).get("url"), {}


class ConversationCalls:
    """What a client does with conversations. They are named by their `conversation_id`."""

    _caller: Caller

    def conversations(self, *, limit: int = 50) -> AsyncIterator[ListedConversation]:
        """Yield your conversations, the newest activity first; `limit` are fetched at a time."""
        return items(self._caller, PATH, ListedConversation, limit=limit)

    async def conversation(self, conversation: str) -> WholeConversation:
        """Return a conversation as the list shows it, and with all its members."""
        call = Call("GET", conversation_path(conversation))
        return await self._caller.ask(call, WholeConversation)

    async def create_group(
        self,
        title: str | None = None,
        members: Iterable[str] = (),
        *,
        metadata: Mapping[str, str] | None = None,
        key: str | None = None,
    ) -> Conversation:
        """Create a group that you own, of you and these usernames; return it.

        `key` is a UUID: within 24 hours the same call with the same key creates nothing again.
        """
        return await self._create("group", members, key, title=title, metadata=metadata)

    async def create_private(self, username: str) -> Conversation:
        """Return your private conversation with somebody; it is created if there is none."""
        return await self._create("private", [username], None)

    async def change_conversation(
        self,
        conversation: str,
        *,
        title: str | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> Conversation:
        """Give a group another title, or other notes, as an admin or owner. None leaves it."""
        body = _present(title=title, metadata=metadata)
        return await self._caller.ask(
            Call("PATCH", conversation_path(conversation), body=body), Conversation
        )

    async def delete_conversation(self, conversation: str) -> None:
        """End a group for everybody, as an owner."""
        call = Call("DELETE", conversation_path(conversation), done_when=(NotFound,))
        await self._caller.tell(call)

    def members(self, conversation: str, *, limit: int = 100) -> AsyncIterator[Member]:
        """Yield the members, by name; `limit` are fetched at a time."""
        return items(self._caller, member_path(conversation), Member, limit=limit)

    async def add_member(
        self, conversation: str, username: str, *, role: str = "member", key: str | None = None
    ) -> Member:
        """Add somebody to a group, as an admin or owner; only an owner gives another role."""
        body = {"username": username, "role": role}
        call = Call("POST", member_path(conversation), body=body, key=key or str(uuid4()))
        return await self._caller.ask(call, Member)

    async def change_role(self, conversation: str, username: str, role: str) -> Member:
        """Make a member an `owner`, `admin` or `member`, as an owner."""
        call = Call("PATCH", member_path(conversation, username), body={"role": role})
        return await self._caller.ask(call, Member)

    async def remove_member(self, conversation: str, username: str) -> None:
        """Remove somebody from a group, as an admin or owner."""
        call = Call("DELETE", member_path(conversation, username), done_when=(NotFound,))
        await self._caller.tell(call)

    async def leave(self, conversation: str) -> None:
        """Leave a group. `Conflict` for its last owner."""
        await self.remove_member(conversation, await self._caller.username())

    async def _create(
        self, kind: str, members: Iterable[str], key: str | None, **more: Any
    ) -> Conversation:
        body = {"type": kind, "members": [*members], **_present(**more)}
        call = Call("POST", PATH, body=body, key=key or str(uuid4()))
        return await self._caller.ask(call, Conversation)


def _present(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}
