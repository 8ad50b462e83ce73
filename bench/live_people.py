"""Who is in which conversation when live delivery is measured, and what they say."""

import uuid

from chat4all.domain.ids import ConversationId, Username

from .live_client import DUE
from .workload import post_message

CROWD = 1_000
BEHIND = 20
"""Messages that each of a herd has missed."""

GROUP = 100
PAIRS = 20
IDLE = 5_000
IDLE_IN = 10
"""Conversations of each idle person, of 50 people each."""

PADDING = "x" * 80

NAMES = [Username(f"user{n}") for n in range(IDLE)]
CROWDED, GROUPED, FIRST_PAIR, FIRST_IDLE = 1, 2, 10, 1_000

Members = dict[ConversationId, list[Username]]


def chat(number: int) -> ConversationId:
    """Return the conversation of this number."""
    return ConversationId(str(uuid.UUID(int=number)))


def busy_members() -> Members:
    """Return who is in which conversation in which something is said: crowd, group and pairs."""
    found = {chat(CROWDED): NAMES[:CROWD], chat(GROUPED): NAMES[:GROUP]}
    for pair in range(PAIRS):
        found[chat(FIRST_PAIR + pair)] = NAMES[2 * pair : 2 * pair + 2]
    return found


def idle_members() -> Members:
    """Return who is in which conversation in which nothing is said."""
    found: Members = {}
    width = IDLE // 50
    for n, name in enumerate(NAMES):
        for k in range(IDLE_IN):
            number = FIRST_IDLE + k * width + n * (k + 1) % width
            found.setdefault(chat(number), []).append(name)
    return found


def post(token: str, number: int, padding: str = PADDING) -> str:
    """Return the request that says something in the conversation of this number."""
    return post_message(token, {"chat_id": chat(number), "content": DUE + padding})


def pair_posts(tokens: list[str]) -> list[str]:
    """Return a request of the first of each pair; `tokens` are those of all people."""
    return [post(tokens[2 * n], FIRST_PAIR + n) for n in range(PAIRS)]


def pair_recipients(tokens: list[str]) -> list[str]:
    """Return the tokens of the second of each pair."""
    return tokens[1 : 2 * PAIRS : 2]
