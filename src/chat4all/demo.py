"""The demonstration data: two people and a chat, so that the first minute is not spent typing."""

from contextlib import suppress
from datetime import UTC, datetime

from chat4all.domain.errors import AlreadyTaken
from chat4all.domain.ids import ConversationId, Username
from chat4all.domain.people import Conversation, ConversationType, Role, User
from chat4all.ports import Directory, Passwords, Users
from chat4all.wire.records import format_utc

USERS = (Username("bruno"), Username("ana"))
PASSWORD = "test"  # noqa: S105 - known to everybody; see `passwords_stand`
CHAT = ConversationId("550e8400-e29b-41d4-a716-446655440000")


async def make(users: Users, directory: Directory, passwords: Passwords) -> None:
    """Create the demonstration users and their chat, as far as they are not there yet."""
    known = await passwords.hash(PASSWORD)  # one for both: hashing is slow on purpose
    now = format_utc(datetime.now(UTC))
    for username in USERS:
        with suppress(AlreadyTaken):
            await users.add_user(User(username, f"{username}@example.com", now), known)
    owner, *others = USERS
    members = {owner: Role.OWNER} | dict.fromkeys(others, Role.MEMBER)
    chat = Conversation(CHAT, ConversationType.GROUP, "Demonstration", members, now, {})
    with suppress(AlreadyTaken):
        await directory.add_conversation(chat)


async def passwords_stand(users: Users, passwords: Passwords) -> bool:
    """Say whether anybody could sign in with a password that is printed in the README."""
    for username in USERS:
        known = await users.password_hash(username)
        if known is not None and await passwords.verify(PASSWORD, known):
            return True
    return False
