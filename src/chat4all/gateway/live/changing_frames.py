"""Edits, deletions and reactions that clients ask for over sockets, as by the routes."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from chat4all.domain.changes import emoji
from chat4all.domain.ids import ChangeId, Username, change_id, conversation_id, message_id
from chat4all.gateway.changing import CONTENT_RULE
from chat4all.http.json_bodies import BodyReader
from chat4all.usecases.changing import Changing
from chat4all.wire.client_frames import ChangeOf, Delete, Edit, React, Unreact

Change = Callable[[Changing, Username, bytes], Awaitable[ChangeId]]
"""Does what a frame of a user says, and returns the id of the change that was accepted."""

_EMOJI_RULE = {"emoji": emoji}

_edit = BodyReader(Edit, CONTENT_RULE)
_delete = BodyReader(Delete)
_react = BodyReader(React, _EMOJI_RULE)
_unreact = BodyReader(Unreact, _EMOJI_RULE)


async def _edited(changing: Changing, author: Username, frame: bytes) -> ChangeId:
    said = _edit.read(frame)
    return await changing.edit(author, content=said.content, **_of(said))


async def _deleted(changing: Changing, author: Username, frame: bytes) -> ChangeId:
    return await changing.delete(author, **_of(_delete.read(frame)))


async def _reacted(changing: Changing, author: Username, frame: bytes) -> ChangeId:
    said = _react.read(frame)
    return await changing.react(author, reaction=said.emoji, given=True, **_of(said))


async def _unreacted(changing: Changing, author: Username, frame: bytes) -> ChangeId:
    said = _unreact.read(frame)
    return await changing.react(author, reaction=said.emoji, given=False, **_of(said))


CHANGES: Mapping[str, Change] = {
    "edit": _edited,
    "delete": _deleted,
    "react": _reacted,
    "unreact": _unreacted,
}
"""By the `type` of the frame."""


def _of(said: ChangeOf) -> dict[str, Any]:
    return {
        "conversation": conversation_id(said.conversation_id),
        "message_id": message_id(said.message_id),
        "seq": said.seq,
        "change_id": change_id(said.change_id) if said.change_id else None,
    }
