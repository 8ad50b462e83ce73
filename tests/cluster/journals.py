"""What bots that are killed again and again have received, by their journals."""

from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any

from tests.copies import Copy, numbers

Line = dict[str, Any]

IN_HAND = 2
"""Events that a bot has written down when it is killed, and that its positions do not have yet."""

FRAMES = {"MessageCreated": "message", "MessageChanged": "message_changed"}


class Had(Copy):
    """What a bot's journal says that it has of one conversation."""

    def hear(self, event: Line) -> None:
        if event["type"] == "MessagesReloaded":
            for message in event["messages"]:
                number = message["seq"]
                if number > len(self.has) + 1:
                    self.wrong.append(f"{number} came after {len(self.has)}")
                self.has[number - 1 : number] = [message]
            self.position = event["position"]
        else:
            self.take({**event, "type": FRAMES[event["type"]]})


def had(journal: Iterable[Line | None], chats: Sequence[str]) -> dict[str, Had]:
    """Return what a bot has of each conversation, by its journal; None marks each start.

    Only events that it was handling when it was killed may come again: once, before new ones.
    """
    found = {chat: Had(chat) for chat in chats}
    in_hand: list[tuple[str, int | None]] = []
    latest: deque[tuple[str, int | None]] = deque(maxlen=IN_HAND)
    for line in journal:
        if line is None:
            # A life that was shorter than that has not saved a new position either.
            in_hand = [*latest] if len(latest) == IN_HAND else [*in_hand, *latest]
            latest.clear()
            continue
        message = line.get("message") or {}
        chat = line.get("conversation_id") or message["conversation_id"]
        latest.append((chat, message.get("seq")))
        is_new = numbers(line["position"]) > numbers(found[chat].position or "0.0")
        if latest[-1] in in_hand and not is_new:
            in_hand.remove(latest[-1])
        else:
            found[chat].hear(line)
            in_hand = [one for one in in_hand if one[0] != chat]
    return found
