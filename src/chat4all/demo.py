"""The demonstration data: two people and a chat, so that the first minute is not spent typing."""

from contextlib import suppress

from chat4all.domain.errors import AlreadyTaken
from chat4all.domain.ids import ConversationId, Username
from chat4all.domain.people import ConversationType
from chat4all.ports import Directory, Passwords
from chat4all.usecases.membership import Membership
from chat4all.usecases.signing_up import SigningUp

USERS = (Username("bruno"), Username("ana"))
PASSWORD = "test"  # noqa: S105 - known to everybody; see `passwords_stand`
CHAT = ConversationId("550e8400-e29b-41d4-a716-446655440000")


async def make(signing_up: SigningUp, membership: Membership) -> None:
    """Create the demonstration users and their chat, as far as they are not there yet."""
    for username in USERS:
        with suppress(AlreadyTaken):
            await signing_up.create(username, f"{username}@example.com", PASSWORD)
    with suppress(AlreadyTaken):
        await membership.create(
            USERS[0],
            ConversationType.GROUP,
            USERS[1:],
            title="Demonstration",
            conversation_id=CHAT,
        )


async def passwords_stand(directory: Directory, passwords: Passwords) -> bool:
    """Say whether anybody could sign in with a password that is printed in the README."""
    for username in USERS:
        known = await directory.password_hash(username)
        if known is not None and await passwords.verify(PASSWORD, known):
            return True
    return False
