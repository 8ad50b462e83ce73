"""Every call of the client, against the whole system."""

import msgspec
import pytest

from chat4all.client import (
    Client,
    Closed,
    Conflict,
    Conversation,
    InvalidInput,
    ListedConversation,
    Message,
    NotAllowed,
    NotFound,
    NotSignedIn,
    sign_in,
)
from tests.api.conftest import CHAT
from tests.client.conftest import PACE, Served

pytestmark = pytest.mark.anyio


async def seqs(client: Client, **query: int) -> list[list[int | None]]:
    return [[one.seq for one in page] async for page in client.history(CHAT, **query)]


async def stored(served: Served, client: Client, message_id: str) -> Message:
    await served.api.routed()
    return await client.message(CHAT, message_id)


@pytest.mark.thorough
async def test_a_message_and_its_changes(served: Served, ana: Client, bruno: Client) -> None:
    asked = await bruno.send(CHAT, "lunch?", mentions=["ana"])
    where = await ana.send(
        CHAT, kind="location", payload={"lat": 1.5, "lon": 2}, reply_to=asked, mark_read=False
    )
    reply = await stored(served, bruno, where)
    assert (reply.kind, reply.payload) == ("location", {"lat": 1.5, "lon": 2})
    assert reply.reply_to is not None
    assert (reply.reply_to.message_id, reply.reply_to.content) == (asked, "lunch?")

    await bruno.edit(CHAT, asked, "dinner?", seq=1)
    await ana.react(CHAT, asked, "👍")
    await bruno.react(CHAT, asked, "🎉")
    await bruno.unreact(CHAT, asked, "🎉")
    message = await stored(served, ana, asked)
    assert (message.content, message.seq, message.mentions) == ("dinner?", 1, ("ana",))
    assert message.edited_at is not None
    assert [one.content for one in await bruno.edits(CHAT, asked)] == ["lunch?", "dinner?"]
    assert [(one.emoji, one.names) for one in await bruno.reactions(CHAT, asked)] == [
        ("👍", ("ana",))
    ]
    await bruno.delete(CHAT, asked)
    assert (await stored(served, ana, asked)).deleted_at is not None


async def test_the_same_id_is_the_same_message(served: Served, ana: Client) -> None:
    first = await ana.send(CHAT, "once")
    assert await ana.send(CHAT, "once", message_id=first) == first
    await served.api.routed()
    assert await seqs(ana) == [[1]]


@pytest.mark.thorough
async def test_a_message_is_changed_right_after_it_was_sent(served: Served, ana: Client) -> None:
    """Accepted and not yet stored, it is 404 for a moment."""
    for number in range(5):
        message_id = await ana.send(CHAT, f"first {number}")
        await ana.edit(CHAT, message_id, f"second {number}")
        await ana.react(CHAT, message_id, "👍")
    nobody = "0d6a1a2c-55a0-4b52-9d3e-6b3a5e8f7c21"
    with pytest.raises(NotFound):
        await ana.edit(CHAT, nobody, "x")
    await served.api.routed()
    async for page in ana.history(CHAT):
        assert {one.content.split()[0] for one in page} == {"second"}


@pytest.mark.thorough
async def test_pages_either_way(served: Served, ana: Client) -> None:
    assert await seqs(ana) == []
    for number in range(7):
        await ana.send(CHAT, str(number))
    await served.api.routed()
    assert await seqs(ana, limit=3) == [[5, 6, 7], [2, 3, 4], [1]]
    assert await seqs(ana, limit=3, before=5) == [[2, 3, 4], [1]]
    assert await seqs(ana, limit=3, after=0) == [[1, 2, 3], [4, 5, 6], [7]]
    assert await seqs(ana, limit=3, after=7) == []
    assert await seqs(ana, limit=3, around=4) == [[3, 4, 5]]
    async for page in ana.history(CHAT):
        assert (len(page), page.position) == (7, "7.0")


async def test_markers(served: Served, ana: Client, bruno: Client) -> None:
    await bruno.send(CHAT, "x")
    await served.api.routed()
    await ana.read(CHAT, 1)
    await served.api.routed()
    assert [(one.username, one.read_seq) for one in await bruno.receipts(CHAT)] == [
        ("ana", 1),
        ("bruno", 1),
    ]


async def test_groups(served: Served, ana: Client, bruno: Client) -> None:
    group = await ana.create_group("Team", ["bruno"], metadata={"ticket": "1"})
    chat = group.conversation_id
    assert [(one.username, one.role) for one in group.members] == [
        ("ana", "owner"),
        ("bruno", "member"),
    ]
    changed = await ana.change_conversation(chat, title="Crew")
    assert (changed.title, changed.metadata) == ("Crew", {"ticket": "1"})
    with pytest.raises(NotAllowed):
        await bruno.change_conversation(chat, title="Mine")
    assert (await ana.change_role(chat, "bruno", "admin")).role == "admin"
    await Client.sign_up(served.url, "carla", "carla@example.com", "long enough")
    assert (await bruno.add_member(chat, "carla")).username == "carla"
    assert [one.username async for one in ana.members(chat, limit=2)] == ["ana", "bruno", "carla"]
    await bruno.remove_member(chat, "carla")
    with pytest.raises(Conflict):
        await ana.leave(chat)
    await bruno.leave(chat)
    with pytest.raises(NotFound):
        await bruno.conversation(chat)
    assert len((await ana.conversation(chat)).members) == 1
    await ana.delete_conversation(chat)


async def test_one_conversation_has_what_the_list_shows_of_it(
    served: Served, ana: Client, bruno: Client
) -> None:
    private = (await bruno.create_private("ana")).conversation_id
    await bruno.send(private, "lunch?", mentions=["ana"])
    await served.api.routed()
    whole = await ana.conversation(private)
    assert (whole.unread, whole.unread_mentions, whole.position) == (1, (1,), "1.0")
    assert (whole.role, whole.peer, whole.member_count) == ("member", "bruno", 2)
    assert whole.last_message is not None
    assert (whole.last_message.content, whole.last_message.seq) == ("lunch?", 1)
    assert [one.username for one in whole.members] == ["ana", "bruno"]
    listed = [one async for one in ana.conversations() if one.conversation_id == private]
    assert msgspec.to_builtins(listed) == [msgspec.to_builtins(whole)]
    assert isinstance(whole, ListedConversation)
    assert isinstance(whole, Conversation)


async def test_lists_are_read_page_by_page(served: Served, ana: Client) -> None:
    for number in range(4):
        await ana.create_group(str(number))
    private = await ana.create_private("bruno")
    assert (await ana.create_private("bruno")).conversation_id == private.conversation_id
    listed = [one async for one in ana.conversations(limit=2)]
    assert len(listed) == 6
    assert {one.peer for one in listed} == {None, "bruno"}
    assert {one.role for one in listed if one.type == "group" and one.title != "Demonstration"} == {
        "owner"
    }


async def test_people_and_devices(served: Served) -> None:
    key = "0d6a1a2c-55a0-4b52-9d3e-6b3a5e8f7c21"
    for _ in range(2):
        carla = await Client.sign_up(
            served.url, "carla", "carla@example.com", "long enough", key=key
        )
        assert carla.email == "carla@example.com"
    with pytest.raises(Conflict):
        await Client.sign_up(served.url, "carla", "other@example.com", "long enough")
    token = await sign_in(served.url, "carla", "long enough", user_agent="a phone")
    async with Client(served.url, "carla", "long enough", user_agent="a desk") as chat:
        assert (await chat.change_me(display_name="Carla 🎈")).display_name == "Carla 🎈"
        assert [one.username async for one in chat.search_users("CARLA")] == ["carla"]
        assert (await chat.user("ana")).username == "ana"
        devices = {one.device: one for one in await chat.sessions()}
        assert devices["a desk"].current
        await chat.end_session(devices["a phone"].session_id)
        await chat.change_me(password="longer still", current_password="long enough")
        await chat.delete_me()
    async with Client(served.url, refresh_token=token.refresh_token) as phone:
        with pytest.raises(NotSignedIn):
            await phone.me()


async def test_what_is_refused_says_why(ana: Client) -> None:
    with pytest.raises(InvalidInput, match="/content: at least 1 character") as refused:
        await ana.send(CHAT, "")
    error = refused.value
    assert (error.status, error.type) == (422, "/problems/invalid-input")
    assert [one.pointer for one in error.errors] == ["/content"]
    assert error.request_id


async def test_a_session_is_passed_on(served: Served) -> None:
    kept: list[str] = []

    def keep(token: object) -> None:
        kept.append(token.refresh_token)  # type: ignore[attr-defined]

    async with Client(served.url, "ana", "test", on_tokens=keep) as chat:
        first = await chat.sessions()
    async with Client(served.url, refresh_token=kept[0], on_tokens=keep) as chat:
        assert [one.session_id for one in await chat.sessions()] == [first[0].session_id]
        assert len(kept) == 2
        await chat.logout()
    async with Client(served.url, refresh_token=kept[1]) as chat:
        with pytest.raises(NotSignedIn):
            await chat.me()


async def test_a_session_that_nobody_can_go_on_with_is_ended(served: Served) -> None:
    async with Client(served.url, "ana", "test") as watching:
        await watching.me()
        async with Client(served.url, "ana", "test") as chat:
            await chat.me()
            assert len(await watching.sessions()) == 2
        assert len(await watching.sessions()) == 1


async def test_the_wrong_password_is_tried_once(served: Served) -> None:
    async with Client(served.url, "ana", "wrong") as chat:
        chat._pace.factor = PACE
        for _ in range(3):
            with pytest.raises(NotSignedIn, match="username or password") as refused:
                await chat.me()
            assert refused.value.status == 401
        with pytest.raises(NotSignedIn):
            await anext(chat.events())


@pytest.mark.parametrize(
    "how", [{}, {"username": "ana"}, {"token": "x", "refresh_token": "y"}], ids=str
)
def test_one_way_to_sign_in(how: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="give one of"):
        Client("http://127.0.0.1:1", **how)  # type: ignore[arg-type]


def test_an_address_has_a_scheme() -> None:
    with pytest.raises(ValueError, match="begins with http"):
        Client("chat.example.com", token="t")


async def test_a_client_that_is_not_open(served: Served) -> None:
    chat = served.client()
    with pytest.raises(Closed, match="async with"):
        await chat.me()
    async with chat:
        await chat.me()
    with pytest.raises(Closed):
        await anext(chat.events())
