"""The members of a conversation as they are now."""

from collections.abc import Collection, Mapping

from chat4all.concurrency.slices import slices
from chat4all.domain.errors import Unavailable
from chat4all.domain.ids import ConversationId, Username
from chat4all.domain.people import Role
from chat4all.ports.directory import MEMBERS_ASKED_MAX, PresentDirectory

TRIES = 10


class PresentMembers:
    """Asks a directory that returns the identical mapping until it changes."""

    def __init__(self, members: PresentDirectory) -> None:
        self._members = members

    async def prepare(self, conversations: Collection[ConversationId]) -> None:
        """Have the members of many cached with a few questions, before `of` looks at each.

        It saves questions and decides nothing: `of` asks for what is not cached, or no longer.
        """
        for part in slices([*conversations], MEMBERS_ASKED_MAX):
            await self._members.members_of(part)

    async def of(self, conversation: ConversationId) -> Mapping[Username, Role]:
        """Return the members.

        What was being loaded while they changed is thrown away (EXACTNESS 20f): it may be from
        before. Raises `Unavailable` also while the directory's changes cannot be followed.
        """
        found = await self._members.members(conversation)
        for _ in range(TRIES):
            # Kept ones are returned at once; those of a load that met a change are not kept.
            again = await self._members.members(conversation)
            if again is found:
                return found
            found = again
        raise Unavailable("the members of a conversation change too often to be read")
