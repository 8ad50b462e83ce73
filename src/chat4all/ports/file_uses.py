"""The messages that name files, as far as it is not known what became of them."""

from collections.abc import Sequence
from typing import Protocol

from chat4all.domain.file_uses import DoubtfulUse
from chat4all.domain.ids import ConversationId, MessageId, Username


class FileUses(Protocol):
    """Uses of files that are to be compared with the store of messages.

    A use is in doubt from when it was noted (`ports.files.Files.attach`) until it is settled.
    """

    async def doubt(
        self, conversation: ConversationId, message_id: MessageId, sender: Username
    ) -> None:
        """Note that a message may be deleted soon: its use is in doubt from now on."""
        ...

    async def doubtful(self, limit: int) -> Sequence[DoubtfulUse]:
        """Return what has been in doubt for `CHECK_SECONDS`, the oldest first.

        Nobody else gets the same for `CHECK_AGAIN_SECONDS`.
        """
        ...

    async def settle(self, doubtful: DoubtfulUse, *, is_named: bool) -> None:
        """Note that the message names the file, or that there is no such message.

        Then the file is as one that no message has named yet, unless another one does. Nothing
        if the use was put in doubt again since it was given.
        """
        ...
