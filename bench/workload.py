"""The workload: 100 users, 200 conversations by Zipf, 100-byte texts, half with client ids."""

import json
import random
import uuid
from collections.abc import Mapping, Sequence

USERS = 100
CONVERSATIONS = 200
CONTENT = "x" * 100
REQUESTS = 20_000
SEED = 4711


def send_requests(tokens: Sequence[str], conversations: Sequence[str]) -> list[str]:
    """Return whole HTTP requests, the same for every run but for their ids."""
    chance = random.Random(SEED)
    weights = [1 / rank for rank in range(1, len(conversations) + 1)]
    chats = chance.choices(conversations, weights, k=REQUESTS)
    return [
        _request(chance.choice(tokens), chat, own_id=bool(number % 2))
        for number, chat in enumerate(chats)
    ]


def _request(token: str, chat: str, *, own_id: bool) -> str:
    message = {"chat_id": chat, "content": CONTENT}
    if own_id:
        message["message_id"] = str(uuid.uuid4())
    return post_message(token, message)


def post_message(token: str, message: Mapping[str, str]) -> str:
    """Return a whole `POST /v1/messages`."""
    body = json.dumps(message)
    return (
        "POST /v1/messages HTTP/1.1\r\nhost: localhost\r\n"
        f"authorization: Bearer {token}\r\ncontent-type: application/json\r\n"
        f"content-length: {len(body)}\r\n\r\n{body}"
    )
