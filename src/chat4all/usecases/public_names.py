"""Public names of senders: an erased user's messages stay, under an alias."""

from collections.abc import Collection, Mapping

import msgspec

from chat4all.domain.ids import Username
from chat4all.ports.history import EncodedPage
from chat4all.ports.users import Aliases
from chat4all.wire.messages import MessageView

_views = msgspec.json.Decoder(list[MessageView])
_encoder = msgspec.json.Encoder()


class PublicNames:
    """Replaces the names of erased users by their aliases."""

    def __init__(self, aliases: Aliases) -> None:
        self._aliases = aliases

    async def in_page(self, page: EncodedPage, members: Collection[Username]) -> bytes:
        """Return a page's body as these members read it."""
        aliases = await self.aliases(page.senders, members)
        if not aliases:
            return page.body
        views = _views.decode(page.body)
        for view in views:
            view.sender_id = aliases.get(Username(view.sender_id), view.sender_id)
        return _encoder.encode(views)

    async def aliases(
        self, senders: Collection[Username], members: Collection[Username]
    ) -> Mapping[Username, Username]:
        """Return the aliases of those senders who have one; members have none."""
        former = sorted(sender for sender in senders if sender not in members)
        return await self._aliases.aliases(former) if former else {}
