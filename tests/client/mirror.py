"""What somebody knows of conversations who only listens to events."""

from typing import Any

import msgspec

from chat4all.client import ConversationChanged, Event, Message, MessageChanged, MessageCreated
from chat4all.client.events import MessagesReloaded

VARIES = {"status"}
"""Of a message: no event says that it was read by all."""


class Mirror:
    """Messages by conversation and number. It refuses what is doubled, missing or out of order."""

    def __init__(self) -> None:
        self.messages: dict[str, dict[int, Message]] = {}

    def add(self, event: Event) -> None:
        """Take over what an event says."""
        match event:
            case MessageCreated(message):
                known = self._of(message)
                assert message.seq == len(known) + 1, f"{message.seq} comes after {len(known)}"
                known[len(known) + 1] = message
            case MessageChanged(message):
                assert message.seq in self._of(message), "a message changed that never came"
                self._of(message)[message.seq] = message
            case MessagesReloaded(conversation, messages, _, continues):
                known = self.messages.setdefault(conversation, {})
                if not continues:
                    known.clear()
                for message in messages:
                    assert message.seq == len(known) + 1
                    known[message.seq] = message
            case ConversationChanged(conversation, "removed"):
                self.messages.pop(conversation, None)

    def equals(self, conversation: str, history: list[dict[str, Any]]) -> bool:
        """Say whether it has what a history has."""
        own = msgspec.json.decode(
            msgspec.json.encode([*self.messages.get(conversation, {}).values()])
        )
        return [_without(one) for one in own] == [_without(one) for one in history]

    def _of(self, message: Message) -> dict[int, Message]:
        return self.messages.setdefault(message.conversation_id, {})


def _without(message: dict[str, Any]) -> dict[str, Any]:
    message = {key: value for key, value in message.items() if key not in VARIES}
    if message["reply_to"] is not None:
        message["reply_to"] = message["reply_to"]["seq"]
    return message
