"""Messages with files whose outcome nobody noted: who has the file once that was looked for."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from chat4all.adapters.embedded import EmbeddedProgress
from chat4all.domain.errors import OutcomeUnknown, Unavailable
from chat4all.domain.file_uses import CHECK_SECONDS
from chat4all.domain.files import UPLOAD_SECONDS
from chat4all.domain.ids import BEFORE_ALL, ConversationId, LogPosition
from chat4all.domain.records import DeadLetter, Headers
from chat4all.ports.dead_letters import DeadLetters
from chat4all.processes.routing import in_process_router
from chat4all.usecases.checking_uses import LETTERS_MAX, CheckingUses
from chat4all.usecases.replaying import Replaying
from tests.api.conftest import CHAT, Api
from tests.api.test_attached import send, status, upload
from tests.contract.test_uploads import aged
from tests.databases import Place

pytestmark = pytest.mark.anyio

OWN = "01980f4e-0000-4000-8000-000000000001"
Who = dict[str, str]


@pytest.fixture
async def bruno(api: Api) -> Who:
    return await api.sign_in("bruno")


@pytest.fixture
async def ana(api: Api) -> Who:
    return await api.sign_in("ana")


@pytest.fixture
async def file_id(api: Api, bruno: Who) -> str:
    return await upload(api, bruno)


class Log:
    """The log, whose answer to the next append is lost, and the record too unless it `lands`."""

    def __init__(self, api: Api) -> None:
        self._log = api.parts.log
        self._append = self._log.append
        self.lands = False
        self.value = b""

    async def append(self, key: ConversationId, value: bytes, headers: Headers = ()) -> LogPosition:
        self.value = value
        self._log.append = self._append  # type: ignore[method-assign]
        if self.lands:
            await self._append(key, value, headers)
        raise OutcomeUnknown("not acknowledged in time")

    def fail(self, *, lands: bool) -> None:
        self.lands = lands
        self._log.append = self.append  # type: ignore[method-assign]


@pytest.fixture
def log(api: Api, monkeypatch: pytest.MonkeyPatch) -> Log:
    # The outcome of an id that is not fresh is told at once.
    monkeypatch.setattr(api.parts.log, "makes_fresh_ids", lambda: False)
    return Log(api)


async def pass_time(api: Api, seconds: int = CHECK_SECONDS) -> None:
    files: Any = api.parts.people.files
    locked: Any = None
    await aged(Place(files._database, locked), seconds)


def checking(api: Api, letters: DeadLetters | None = None) -> CheckingUses:
    parts, people = api.parts, api.parts.people
    progress = EmbeddedProgress(parts.log, parts.store, wait_seconds=0)
    return CheckingUses(
        people.file_uses, people.files, parts.store, letters or parts.store, progress
    )


async def checked(api: Api) -> int:
    """Let as much time pass as is needed, and compare; return how many uses were settled."""
    await api.routed()
    await pass_time(api)
    return await checking(api).check()


async def is_garbage(api: Api) -> bool:
    return bool(await api.parts.people.files.garbage(10))


async def delete(api: Api, who: Who, message_id: str) -> int:
    path = f"/v1/conversations/{CHAT}/messages/{message_id}"
    return (await api.gateway.delete(path, headers=who)).status_code


async def test_the_file_of_a_message_that_never_came_is_its_owners_again(
    api: Api, bruno: Who, ana: Who, file_id: str, log: Log
) -> None:
    log.fail(lands=False)
    assert (await send(api, bruno, file_id)).status_code == 503
    assert await status(api, ana, file_id) == 200
    assert await checked(api) == 1
    assert await status(api, ana, file_id) == 404
    assert await status(api, bruno, file_id) == 200
    assert await checked(api) == 0
    assert (await send(api, bruno, file_id)).status_code == 202
    assert await status(api, ana, file_id) == 200
    assert await checked(api) == 1
    await pass_time(api, 2 * UPLOAD_SECONDS)
    assert await status(api, ana, file_id) == 200


async def test_without_another_message_it_is_deleted_a_day_later(
    api: Api, bruno: Who, file_id: str, log: Log
) -> None:
    log.fail(lands=False)
    assert (await send(api, bruno, file_id)).status_code == 503
    assert await checked(api) == 1
    assert not await is_garbage(api)
    await pass_time(api, UPLOAD_SECONDS)
    assert await is_garbage(api)


async def test_a_message_that_came_after_all_keeps_its_file(
    api: Api, bruno: Who, ana: Who, file_id: str, log: Log
) -> None:
    log.fail(lands=True)
    assert (await send(api, bruno, file_id)).status_code == 503
    assert await checked(api) == 1
    await pass_time(api, 2 * UPLOAD_SECONDS)
    assert await checked(api) == 0
    assert await status(api, ana, file_id) == 200
    assert not await is_garbage(api)


async def test_a_message_that_is_not_stored_yet_keeps_its_file(
    api: Api, bruno: Who, ana: Who, file_id: str
) -> None:
    """However long no router runs: the message was accepted."""
    api.parts.routing.stop()
    await api.parts.routing.task
    assert (await send(api, bruno, file_id)).status_code == 202
    for seconds in (CHECK_SECONDS, UPLOAD_SECONDS):
        await pass_time(api, seconds)
        assert await checking(api).check() == 0
    assert await status(api, ana, file_id) == 200
    async with in_process_router(api.parts.log, api.parts.store, api.parts.feed):
        assert await checked(api) == 1
        await pass_time(api, UPLOAD_SECONDS)
        assert await status(api, ana, file_id) == 200
        assert not await is_garbage(api)


@pytest.mark.thorough
async def test_a_deletion_that_nobody_repeats_takes_the_file_back(
    api: Api, bruno: Who, ana: Who, file_id: str, log: Log
) -> None:
    message_id = (await send(api, bruno, file_id)).json()["message_id"]
    assert await checked(api) == 1  # it was settled long before
    log.fail(lands=True)
    assert await delete(api, bruno, message_id) == 503
    assert await status(api, ana, file_id) == 200
    assert await checked(api) == 1
    for who in (ana, bruno):
        assert await status(api, who, file_id) == 404
    assert await is_garbage(api)


@pytest.mark.parametrize("error", [Unavailable, OutcomeUnknown])
async def test_a_deletion_that_is_made_is_told_as_made(
    api: Api,
    bruno: Who,
    ana: Who,
    file_id: str,
    error: type[Unavailable],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also if its file cannot be taken back yet: that follows by itself."""
    message_id = (await send(api, bruno, file_id)).json()["message_id"]
    assert await checked(api) == 1

    async def unanswered(*_: object) -> None:
        raise error("10.1.2.3 was lost", "the metadata service is unavailable")

    with monkeypatch.context() as patched:
        patched.setattr(api.parts.people.files, "detach", unanswered)
        assert await delete(api, bruno, message_id) == 202
    assert await status(api, ana, file_id) == 200
    assert await checked(api) == 1
    for who in (ana, bruno):
        assert await status(api, who, file_id) == 404
    assert await is_garbage(api)


async def test_a_deletion_that_never_came_changes_nothing(
    api: Api, bruno: Who, ana: Who, file_id: str, log: Log
) -> None:
    message_id = (await send(api, bruno, file_id)).json()["message_id"]
    await api.routed()
    log.fail(lands=False)
    assert await delete(api, bruno, message_id) == 503
    assert await checked(api) == 1
    await pass_time(api, 2 * UPLOAD_SECONDS)
    assert await status(api, ana, file_id) == 200
    assert await delete(api, bruno, message_id) == 202
    assert await status(api, ana, file_id) == 404


async def test_a_message_has_the_file_that_it_names(
    api: Api, bruno: Who, ana: Who, file_id: str, log: Log
) -> None:
    """And not one that was sent under its id before, without success."""
    other = await upload(api, bruno)
    log.fail(lands=False)
    assert (await send(api, bruno, other, message_id=OWN)).status_code == 503
    assert (await send(api, bruno, file_id, message_id=OWN)).status_code == 202
    assert await checked(api) == 2
    assert await status(api, ana, file_id) == 200
    assert await status(api, ana, other) == 404


async def test_a_message_that_was_put_aside_keeps_its_file(
    api: Api, bruno: Who, ana: Who, file_id: str, log: Log
) -> None:
    letter = await put_aside(api, bruno, file_id, log)
    assert await checked(api) == 0
    assert await status(api, ana, file_id) == 200
    await Replaying(api.parts.log, api.parts.store).replay(letter)
    assert await checked(api) == 1
    await pass_time(api, UPLOAD_SECONDS)
    assert await status(api, ana, file_id) == 200


async def test_a_message_that_is_replayed_meanwhile_keeps_its_file(
    api: Api, bruno: Who, ana: Who, file_id: str, log: Log
) -> None:
    """It is in no letter any more, and not stored yet."""
    letter = await put_aside(api, bruno, file_id, log)

    class Letters:
        async def get(self, log_position: LogPosition) -> DeadLetter | None:
            raise NotImplementedError

        async def replayed(self, log_position: LogPosition, by: LogPosition) -> None:
            raise NotImplementedError

        async def all(self, limit: int, after: LogPosition = BEFORE_ALL) -> Sequence[DeadLetter]:
            if after == BEFORE_ALL:
                api.parts.routing.stop()
                await api.parts.routing.task
                await Replaying(api.parts.log, api.parts.store).replay(letter)
            return await api.parts.store.all(limit, after)

    await pass_time(api)
    assert await checking(api, Letters()).check() == 0
    assert await status(api, ana, file_id) == 200


async def test_while_too_much_is_put_aside_nothing_is_taken_for_missing(
    api: Api, bruno: Who, ana: Who, file_id: str, log: Log
) -> None:
    log.fail(lands=False)
    assert (await send(api, bruno, file_id)).status_code == 503
    await api.parts.store.add(
        [DeadLetter(LogPosition(0, 0, n), "cause", b"", b"") for n in range(LETTERS_MAX)]
    )
    assert await checked(api) == 0
    assert await status(api, ana, file_id) == 200
    await api.parts.store.replayed(LogPosition(0, 0, 7), LogPosition(0, 0, 5_000))
    assert await checked(api) == 1
    assert await status(api, ana, file_id) == 404


async def put_aside(api: Api, who: Who, file_id: str, log: Log) -> DeadLetter:
    """Send a message whose record became a dead letter."""
    log.fail(lands=False)
    assert (await send(api, who, file_id)).status_code == 503
    letter = DeadLetter(LogPosition(0, 0, 1), "cause", CHAT.encode(), log.value)
    await api.parts.store.add([letter])
    return letter


def send_it(api: Api, who: Who, file_id: str, _: str) -> Any:
    return send(api, who, file_id)


async def delete_it(api: Api, who: Who, _: str, message_id: str) -> Any:
    path = f"/v1/conversations/{CHAT}/messages/{message_id}"
    return await api.gateway.delete(path, headers=who)


@pytest.mark.parametrize("request_", [send_it, delete_it])
async def test_a_request_that_was_held_up_appends_nothing(
    api: Api,
    bruno: Who,
    file_id: str,
    request_: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What was noted of its file is settled by then."""
    message_id = (await send(api, bruno, file_id)).json()["message_id"]
    await api.routed()
    before = await api.parts.log.end()
    monkeypatch.setattr("chat4all.usecases.sending.APPEND_SECONDS", -1.0)
    answer = await request_(api, bruno, file_id, message_id)
    assert (answer.status_code, answer.json()["type"]) == (503, "/problems/overloaded")
    assert await api.parts.log.end() == before
