"""Finding the conversation that a command's argument means, on the server and for completion."""

import asyncio
import os
import threading

import click
from click.shell_completion import CompletionItem

from chat4all.client import Client, ListedConversation, NotFound
from chat4all.domain.people import username_errors
from chat4all.terminal.accounts import find, parsed_url
from chat4all.terminal.failing import NOT_FOUND, Failed
from chat4all.terminal.naming import PERSON, NoneFits, as_id, chosen, normal
from chat4all.terminal.showing import in_a_line, name_of
from chat4all.terminal.signing_in import SETTLE_SECONDS, client_of

PAGE = 200

COMPLETION_SECONDS = 2.0
"""A shell waits for it."""

_UNQUOTED = frozenset("-_.@+")


async def conversation_id(chat: Client, name: str) -> str:
    """Return the id of the conversation that is meant. Raises `Failed`."""
    if (found := as_id(name)) is not None:
        return found
    return chosen(name, await every_conversation(chat)).conversation_id


async def conversation_to_write_to(chat: Client, name: str) -> str:
    """Return the same; a person who is named as one is written to for the first time too.

    A group may have the name of a person: anybody can create one and add others. Without a word
    that says which, nothing is sent to either.
    """
    if name.startswith(PERSON) and len(name) > 1:
        return (await chat.create_private(name.removeprefix(PERSON))).conversation_id
    if (key := as_id(name)) is not None:
        return key
    try:
        found = chosen(name, await every_conversation(chat))
    except NoneFits as none:
        raise Failed(f"{none}; a person is named as {PERSON}NAME", NOT_FOUND) from None
    person = name.casefold()  # usernames have no capitals
    if found.peer is None and await _is_somebody_else(chat, person):
        raise Failed(
            f"{in_a_line(name)} is the title of a group and the name of a user: "
            f"write to the user as {PERSON}{person}, or to the group as {found.conversation_id}",
            NOT_FOUND,
        )
    return found.conversation_id


async def _is_somebody_else(chat: Client, username: str) -> bool:
    if username_errors(username):
        return False
    try:
        await chat.user(username)
    except NotFound:
        return False
    return (await chat.me()).username != username


async def every_conversation(chat: Client) -> list[ListedConversation]:
    """Return all conversations, the newest activity first."""
    return [one async for one in chat.conversations(limit=PAGE)]


def complete_conversation(
    ctx: click.Context,
    param: click.Parameter,  # noqa: ARG001
    incomplete: str,
) -> list[CompletionItem]:
    """Return the conversations whose name begins so; none where the server does not answer."""
    # Looking up a host's address, and asking a keyring, cannot be given up: only all can be.
    last_resort = threading.Timer(COMPLETION_SECONDS + SETTLE_SECONDS + 1, os._exit, [0])
    last_resort.daemon = True
    last_resort.start()
    try:
        return asyncio.run(_completed(ctx.params, incomplete))
    except Exception:  # a shell that completes has no place for an error
        return []
    finally:
        last_resort.cancel()


async def _completed(options: dict[str, object], incomplete: str) -> list[CompletionItem]:
    url, user = options.get("url"), options.get("user")
    account = find(parsed_url(str(url)) if url else None, str(user) if user else None)
    async with asyncio.timeout(COMPLETION_SECONDS), client_of(account) as chat:
        found = await every_conversation(chat)
    return [item for one in found if (item := _item(one, incomplete)) is not None]


def _item(conversation: ListedConversation, incomplete: str) -> CompletionItem | None:
    """Return how a shell completes it: by its id where the name would mean something else."""
    is_at = incomplete.startswith(PERSON)
    name = f"{PERSON}{conversation.peer}" if is_at else conversation.title or conversation.peer
    if not name or not name.casefold().startswith(normal(incomplete).casefold()):
        return None
    if is_at and conversation.peer is None:
        return None
    # A title can be an option, an id or a person to the command that gets it.
    is_meant = is_at or (name[0] not in "-@" and as_id(name) is None)
    if is_meant and all(letter.isalnum() or letter in _UNQUOTED for letter in name):
        return CompletionItem(name, help=_members(conversation))
    return CompletionItem(conversation.conversation_id, help=in_a_line(name_of(conversation)))


def _members(conversation: ListedConversation) -> str:
    return in_a_line(", ".join(member.username for member in conversation.members))
