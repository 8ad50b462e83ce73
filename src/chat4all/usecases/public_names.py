"""Public names in messages: what an erased user wrote or reacted to stays, under an alias."""

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
        aliases = await self.aliases(page.names, members)
        if not aliases:
            return page.body
        views = _views.decode(page.body)
        for view in views:
            view.under(aliases)
        return _encoder.encode(views)

    async def aliases(
        self, names: Collection[Username], members: Collection[Username]
    ) -> Mapping[Username, Username]:
        """Return the aliases of those users who have one; members have none."""
        former = sorted(name for name in names if name not in members)
        return await self._aliases.aliases(former) if former else {}
