"""Which conversation a name means."""

from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any, cast

import pytest

from chat4all.client import Client, ListedConversation, NotFound
from chat4all.terminal.failing import NOT_FOUND, Failed
from chat4all.terminal.meaning import conversation_to_write_to
from chat4all.terminal.naming import as_id, chosen
from tests.terminal.made import listed

TEAM = listed(1, title="Equipe")
OTHER_TEAM = listed(2, title="Equipe")
SMALL = listed(3, title="equipe 2")
ANA = listed(4, peer="ana")
CALLED_ANA = listed(5, title="Ana")
BRUNO = listed(6, peer="bruno")
UNTITLED = listed(7, members=("ana", "carla"))
ACCENTED = listed(8, title="Reuni\u00e3o")


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("bruno", BRUNO),
        ("Bruno", BRUNO),
        ("@bruno", BRUNO),
        ("EQUIPE 2", SMALL),
        ("ana", ANA),
        ("Ana", CALLED_ANA),
        ("@Ana", ANA),
        ("Reunia\u0303o", ACCENTED),
    ],
)
def test_a_name_means_one_conversation(name: str, found: ListedConversation) -> None:
    assert (
        chosen(name, [TEAM, OTHER_TEAM, SMALL, ANA, CALLED_ANA, BRUNO, UNTITLED, ACCENTED]) == found
    )


def test_a_name_that_fits_several_lists_them() -> None:
    with pytest.raises(Failed) as failed:
        chosen("equipe", [TEAM, OTHER_TEAM, SMALL])
    assert failed.value.status == NOT_FOUND
    first, *rest = str(failed.value).splitlines()
    assert first.startswith("equipe fits 2 conversations; name one of them by its id")
    assert rest == [f"  {one.conversation_id}  Equipe  (ana, bruno)" for one in (TEAM, OTHER_TEAM)]


@pytest.mark.parametrize("name", ["@Equipe", "carla", "", "@", "ana, carla"])
def test_a_name_that_fits_none_is_told(name: str) -> None:
    with pytest.raises(Failed, match="you are in no conversation named") as failed:
        chosen(name, [TEAM, UNTITLED, ANA])
    assert failed.value.status == NOT_FOUND


def test_an_id_is_known_by_its_form() -> None:
    assert as_id(TEAM.conversation_id.upper()) == TEAM.conversation_id
    assert as_id("Equipe") is None


class Chat:
    """A client of carla, in these conversations, at a server that has these users."""

    def __init__(self, *conversations: ListedConversation, users: tuple[str, ...] = ()) -> None:
        self._conversations = conversations
        self._users = users
        self.asked: list[str] = []

    async def conversations(self, limit: int) -> AsyncIterator[ListedConversation]:
        for one in self._conversations:
            yield one

    async def user(self, username: str) -> Any:
        self.asked.append(username)
        if username not in self._users:
            raise NotFound("no such user")

    async def me(self) -> Any:
        return SimpleNamespace(username="carla")

    async def meant(self, name: str) -> str:
        return await conversation_to_write_to(cast("Client", self), name)


@pytest.mark.anyio
@pytest.mark.parametrize("name", ["ana", "Ana", "ANA"])
async def test_nothing_is_sent_to_a_group_that_is_called_as_a_user(name: str) -> None:
    """Anybody can create one, add others, and wait for what was meant for somebody else."""
    with pytest.raises(Failed) as failed:
        await Chat(TEAM, CALLED_ANA, users=("ana",)).meant(name)
    assert failed.value.status == NOT_FOUND
    told = str(failed.value)
    assert len(told.splitlines()) == 1
    assert "@ana" in told
    assert CALLED_ANA.conversation_id in told


@pytest.mark.anyio
async def test_a_title_that_is_no_other_users_name_means_its_group() -> None:
    assert await Chat(TEAM, CALLED_ANA).meant("ana") == CALLED_ANA.conversation_id
    own = listed(8, title="carla")
    assert await Chat(own, users=("carla",)).meant("carla") == own.conversation_id
    nothing_asked = Chat(SMALL, ANA, users=("ana",))
    assert await nothing_asked.meant("equipe 2") == SMALL.conversation_id  # no name of a user
    assert await nothing_asked.meant("ana") == ANA.conversation_id
    assert await nothing_asked.meant(CALLED_ANA.conversation_id) == CALLED_ANA.conversation_id
    assert nothing_asked.asked == []
