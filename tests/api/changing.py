"""Edits, deletions and reactions by HTTP, each done once it is stored."""

from typing import Any
from urllib.parse import quote

import httpx

from chat4all.domain.changes import EMOJIS
from tests.api.conftest import CHAT, Api

PATH = f"/v1/conversations/{CHAT}/messages"
THUMB, HEART = EMOJIS[0], EMOJIS[2]


async def done(api: Api, answer: httpx.Response) -> str:
    """Return the id of a change that was accepted, once it is stored."""
    assert answer.status_code == 202, answer.text
    assert answer.json()["status"] == "accepted"
    await api.routed()
    return str(answer.json()["change_id"])


async def edit(api: Api, who: dict[str, str], message: str, content: str, **more: Any) -> str:
    body = {"content": content, **more}
    answer = await api.gateway.patch(f"{PATH}/{message}", json=body, headers=who)
    return await done(api, answer)


async def delete(api: Api, who: dict[str, str], message: str) -> str:
    return await done(api, await api.gateway.delete(f"{PATH}/{message}", headers=who))


async def react(
    api: Api, who: dict[str, str], message: str, emoji: str, method: str = "PUT"
) -> str:
    path = f"{PATH}/{message}/reactions/{quote(emoji)}"
    return await done(api, await api.gateway.request(method, path, headers=who))


async def sent(api: Api, who: dict[str, str], content: str = "first") -> str:
    message = await api.send(who, content)
    await api.routed()
    return message
