"""The members of a conversation as they are now."""

from collections.abc import Mapping

from chat4all.domain.errors import Unavailable
from chat4all.domain.ids import ConversationId, Username
from chat4all.domain.people import Role
from chat4all.ports.directory import Members

TRIES = 10


class PresentMembers:
    """Asks a directory that returns the identical mapping until it changes."""

    def __init__(self, members: Members) -> None:
        self._members = members

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
