"""Under which names senders are shown: an erased user's messages stay, under an alias."""

from collections.abc import Collection, Mapping

import msgspec

from chat4all.domain.ids import Username
from chat4all.ports import Users
from chat4all.wire.shapes import MessageView


class _Sender(msgspec.Struct):
    sender_id: str


_senders = msgspec.json.Decoder(list[_Sender])
_views = msgspec.json.Decoder(list[MessageView])
_encoder = msgspec.json.Encoder()


class ShownNames:
    """Puts aliases in the place of erased users' names."""

    def __init__(self, users: Users) -> None:
        self._users = users

    async def in_page(self, body: bytes, members: Collection[Username]) -> bytes:
        """Return a page (a JSON array of `MessageView`) as it is shown to these members."""
        senders = {Username(each.sender_id) for each in _senders.decode(body)}
        aliases = await self.aliases(senders, members)
        if not aliases:
            return body
        views = _views.decode(body)
        for view in views:
            view.sender_id = aliases.get(Username(view.sender_id), view.sender_id)
        return _encoder.encode(views)

    async def aliases(
        self, senders: Collection[Username], members: Collection[Username]
    ) -> Mapping[Username, Username]:
        """Return the aliases of those senders who have one; members have none."""
        former = sorted(sender for sender in senders if sender not in members)
        return await self._users.aliases(former) if former else {}
