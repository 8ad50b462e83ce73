"""One id of a change is one change: a retry gets its 202 again, another change is refused."""

import uuid
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest

from chat4all.domain.changes import EDITS_MAX
from chat4all.usecases import recent
from tests.api.changing import HEART, PATH, THUMB, delete, edit, react, sent
from tests.api.conftest import CHAT, Api
from tests.live.sockets import resumed

pytestmark = pytest.mark.anyio

Forget = Callable[[], None]


@pytest.fixture(params=["remembered", "stored"])
def forget(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Forget:
    """Let this gateway forget what it accepted, as another one never knew it."""

    def one() -> None:
        if request.param == "stored":
            monkeypatch.setattr(recent, "RECENT_SECONDS", 0.0)

    return one


async def asked(
    api: Api, who: dict[str, str], method: str, path: str, own: str, content: str = ""
) -> tuple[int, Any]:
    """Return the status of a change with an id of its own, and the id or the pointers."""
    body = {"content": content, "change_id": own} if method == "PATCH" else None
    key = {} if body else {"Idempotency-Key": own}
    answer = await api.gateway.request(method, f"{PATH}/{path}", json=body, headers=who | key)
    await api.routed()
    said = answer.json()
    return answer.status_code, said.get("change_id") or [
        error["pointer"] for error in said.get("errors", ())
    ]


@pytest.mark.thorough
async def test_a_retry_of_what_was_accepted_is_accepted_when_it_would_be_refused_by_now(
    api: Api, forget: Forget
) -> None:
    bruno = await api.sign_in("bruno")
    message, last = await sent(api, bruno), str(uuid.uuid4())
    for number in range(EDITS_MAX - 1):
        await edit(api, bruno, message, f"edit {number}")
    assert await asked(api, bruno, "PATCH", message, last, "the last one") == (202, last)
    forget()
    assert await asked(api, bruno, "PATCH", message, last, "the last one") == (202, last)
    assert (await asked(api, bruno, "PATCH", message, str(uuid.uuid4()), "more"))[0] == 409
    thumb, reacted = f"{message}/reactions/{quote(THUMB)}", str(uuid.uuid4())
    assert await asked(api, bruno, "PUT", thumb, reacted) == (202, reacted)
    await delete(api, bruno, message)
    assert await asked(api, bruno, "PATCH", message, last, "the last one") == (202, last)
    assert await asked(api, bruno, "PUT", thumb, reacted) == (202, reacted)
    assert (await asked(api, bruno, "PUT", thumb, str(uuid.uuid4())))[0] == 409
    # Nothing of that was made again.
    (shown,) = await api.history(bruno)
    assert (shown["content"], shown["reactions"]) == ("", [])
    answer = await api.gateway.get(PATH, headers=bruno)
    assert answer.headers["Chat4All-Position"] == f"1.{EDITS_MAX + 2}"


async def test_an_id_of_another_change_is_refused(api: Api, forget: Forget) -> None:
    bruno, ana = await api.sign_in("bruno"), await api.sign_in("ana")
    first, other = [await sent(api, bruno) for _ in range(2)]
    by_header, by_body = (422, ["/header/Idempotency-Key"]), (422, ["/change_id"])

    def on(message: str, emoji: str = THUMB) -> str:
        return f"{message}/reactions/{quote(emoji)}"

    edited, reacted, deleted = (str(uuid.uuid4()) for _ in range(3))
    assert await asked(api, bruno, "PATCH", first, edited, "one") == (202, edited)
    assert await asked(api, bruno, "PUT", on(first), reacted) == (202, reacted)
    forget()
    for again in (edited, reacted):
        assert await asked(api, bruno, "PATCH", first, again, "two") == by_body
        assert await asked(api, bruno, "PATCH", other, again, "one") == by_body
        assert await asked(api, bruno, "PUT", on(first, HEART), again) == by_header
        assert await asked(api, bruno, "PUT", on(other), again) == by_header
        assert await asked(api, bruno, "DELETE", on(first), again) == by_header
        assert await asked(api, bruno, "DELETE", first, again) == by_header
    assert await asked(api, bruno, "DELETE", first, deleted) == (202, deleted)
    assert await asked(api, bruno, "DELETE", first, deleted) == (202, deleted)
    assert await asked(api, bruno, "DELETE", other, deleted) == by_header
    assert await asked(api, bruno, "PATCH", other, deleted, "x") == by_body
    # An id is its author's: the same one of somebody else is another change.
    assert await asked(api, ana, "PUT", on(other), reacted) == (202, reacted)
    answer = await api.gateway.get(PATH, headers=bruno)
    assert answer.headers["Chat4All-Position"] == "2.4"


async def test_over_a_socket_it_is_refused_too(api: Api) -> None:
    bruno = await api.sign_in("bruno")
    message, own = await sent(api, bruno), str(uuid.uuid4())
    socket = await resumed(api.parts.live, bruno)
    change = {"conversation_id": CHAT, "message_id": message, "change_id": own}
    for ref, emoji in (("1", THUMB), ("2", THUMB), ("3", HEART)):
        socket.say(type="react", ref=ref, emoji=emoji, **change)
    error = await socket.heard("error")
    assert (error["ref"], error["status"]) == ("3", 422)
    assert [one["pointer"] for one in error["errors"]] == ["/change_id"]
    assert [one["ref"] for one in socket.of_type("accepted")] == ["1", "2"]


async def test_a_reaction_that_was_changed_since_is_not_made_again(
    api: Api, forget: Forget
) -> None:
    bruno = await api.sign_in("bruno")
    message, own = await sent(api, bruno), str(uuid.uuid4())
    thumb = f"{message}/reactions/{quote(THUMB)}"
    assert await asked(api, bruno, "PUT", thumb, own) == (202, own)
    await react(api, bruno, message, THUMB, "DELETE")
    forget()
    assert await asked(api, bruno, "PUT", thumb, own) == (202, own)
    assert (await api.history(bruno))[0]["reactions"] == []
