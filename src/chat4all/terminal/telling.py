"""Printing events of `chat4all tail`: JSON in the shapes of the interface, or text for people."""

import sys
from collections.abc import Sequence
from typing import Any

import click
from rich.text import Text

from chat4all.client import (
    ClientError,
    Connected,
    ConversationChanged,
    Disconnected,
    Event,
    Message,
    MessageChanged,
    MessageCreated,
    MessagesReloaded,
    ReadMoved,
    Typing,
)
from chat4all.terminal.failing import NOT_FOUND, Failed
from chat4all.terminal.following import Followed
from chat4all.terminal.output import Output
from chat4all.terminal.showing import Screen, name_of, named, visible

TOKEN_ENDED = 4401
"""The close code of a connection whose token is good no more (docs/clients.md)."""


class Teller:
    """Prints the events of what is followed; `all_events`: not messages alone."""

    def __init__(self, output: Output, followed: Followed, *, all_events: bool) -> None:
        self._output = output
        self._followed = followed
        self._all_events = all_events
        self._screen = Screen()
        self._names = {key: name_of(one) for key, one in followed.listed.items()}
        self._username: str | None = None
        """Once there was a connection."""

    async def event(self, event: Event) -> None:
        """Print an event, if it is about what is followed. Raises `Failed` once that is over."""
        match event:
            case MessageCreated(message, position):
                await self.messages(self._unshown([message]), position)
            case MessageChanged(message, position):
                if self._is_followed(message.conversation_id):
                    await self._changed(message, position)
            case MessagesReloaded(conversation, messages, position, has_older=has_older):
                if self._is_followed(conversation):
                    if has_older:
                        self._tell_older(conversation, messages)
                    await self.messages(self._unshown(messages), position)
            case Connected(username):
                self._username = username
            case Disconnected(code) if code == TOKEN_ENDED:
                pass  # it lasts half an hour, and the next connection has another one
            case Disconnected(code, reason):
                why = reason or f"the connection was closed with {code}"
                click.echo(f"chat4all: {visible(why)}; connecting again", err=True)
            case _:
                await self._other(event)

    async def messages(self, messages: Sequence[Message], position: str) -> None:
        """Print messages of one conversation, from where an earlier run was ended among them."""
        cursor = self._followed.cursor
        for message in cursor.unprinted(messages):
            if not self._is_followed(message.conversation_id):
                return
            if self._output.is_text:
                place = await self._place(message.conversation_id)
                await self._output.put(self._screen.message(message, place))
            else:
                await self._put_json("message", message, position)
            if len(messages) > 1:
                cursor.keep_printed(message)

    def _tell_older(self, conversation: str, messages: Sequence[Message]) -> None:
        seq = next((one.seq for one in messages), None)
        click.echo(
            f"chat4all: older messages are not printed: `chat4all history {conversation} "
            f"--before {seq}` has them",
            err=True,
        )

    async def _changed(self, message: Message, position: str) -> None:
        if self._output.is_text:
            place = await self._place(message.conversation_id)
            await self._output.put(self._screen.changed(message, place))
        else:
            await self._put_json("message_changed", message, position)

    async def introduce(self) -> None:
        """Tell somebody at a terminal what is going to be printed, and how it ends."""
        if self._output.is_text and sys.stderr.isatty():
            only = self._followed.only
            what = "all conversations" if only is None else await self._name(only)
            click.echo(f"Following {what}. Ctrl-C ends it.", err=True)

    async def _other(self, event: Event) -> None:
        """Print something that is no message."""
        match event:
            case ReadMoved(conversation, username, seq):
                line = Text.assemble(named(username), f" has read up to message {seq}")
                await self._notice(conversation, line, type="read", username=username, seq=seq)
            case Typing(conversation, username):
                line = Text.assemble(named(username), " is typing")
                await self._notice(conversation, line, type="typing", username=username)
            case ConversationChanged(conversation, change):
                if self._followed.since is None and self._username is None:
                    return  # the first connection names all that there are
                line = Text(await self._membership(conversation, change), "dim")
                await self._notice(conversation, line, type="conversation", event=change)

    async def _membership(self, conversation: str, change: str) -> str:
        """Return what has become of a conversation. Raises `Failed` where it was the only one."""
        if change == "added":
            return "You are in it now"
        before = self._names.pop(conversation, conversation)
        if change != "removed":
            return f"{before} was changed"
        if conversation == self._followed.only:
            raise Failed(f"you are not in {before} any more", NOT_FOUND)
        self._names[conversation] = before
        return "You are not in it any more"

    async def _notice(self, conversation: str, line: Text, **fields: Any) -> None:
        if not self._all_events or not self._is_followed(conversation):
            return
        if self._output.is_text:
            if (place := await self._place(conversation)) is not None:
                line = Text.assemble((f"[{place}] ", "dim"), line)
            await self._output.put(self._screen.notice(line))
        else:
            await self._output.put_json({"conversation_id": conversation, **fields})

    async def _put_json(self, kind: str, message: Message, position: str) -> None:
        await self._output.put_json({"type": kind, "message": message, "position": position})

    def _is_followed(self, conversation: str) -> bool:
        return self._followed.only in (None, conversation)

    def _unshown(self, messages: Sequence[Message]) -> Sequence[Message]:
        """Return those that the run did not begin with: a page may be newer than its position."""
        shown = {(one.conversation_id, one.seq) for one in self._followed.shown or ()}
        return [one for one in messages if (one.conversation_id, one.seq) not in shown]

    async def _place(self, conversation: str) -> str | None:
        """Return the conversation's name where several are followed."""
        return await self._name(conversation) if self._followed.only is None else None

    async def _name(self, conversation: str) -> str:
        if conversation not in self._names:
            try:
                found = await self._followed.chat.conversation(conversation)
            except ClientError:
                return conversation  # it was left meanwhile
            self._names[conversation] = name_of(found, self._username)
        return self._names[conversation]
