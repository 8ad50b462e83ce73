"""The demonstration data: two users and a chat, to try the server at once."""

from contextlib import suppress

from chat4all.domain.errors import AlreadyTaken
from chat4all.domain.ids import ConversationId, Username
from chat4all.domain.people import Conversation, ConversationType, Role, User
from chat4all.domain.times import now_utc
from chat4all.ports.directory import Conversations
from chat4all.ports.security import Passwords
from chat4all.ports.users import Credentials, Registrations
from chat4all.wire.messages import EXAMPLE_CHAT

USERS = (Username("bruno"), Username("ana"))
PASSWORD = "test"  # noqa: S105 - public; see `demo_passwords_are_active`
CHAT = ConversationId(EXAMPLE_CHAT)


async def make_demo(
    users: Registrations, conversations: Conversations, passwords: Passwords
) -> None:
    """Create the demonstration users and their chat, unless they exist."""
    password_hash = await passwords.hash(PASSWORD)  # one for both: hashing is slow on purpose
    now = now_utc()
    for username in USERS:
        with suppress(AlreadyTaken):
            await users.add_user(User(username, f"{username}@example.com", now), password_hash)
    owner, *others = USERS
    members = {owner: Role.OWNER} | dict.fromkeys(others, Role.MEMBER)
    chat = Conversation(CHAT, ConversationType.GROUP, "Demonstration", members, now, {})
    with suppress(AlreadyTaken):
        await conversations.add_conversation(chat)


async def demo_passwords_are_active(credentials: Credentials, passwords: Passwords) -> bool:
    """Say whether a demonstration user still has the password that the README prints."""
    for username in USERS:
        stored = await credentials.password_hash(username)
        if stored is not None and await passwords.verify(PASSWORD, stored):
            return True
    return False
