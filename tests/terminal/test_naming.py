"""Which conversation a name means."""

import pytest

from chat4all.client import ListedConversation
from chat4all.terminal.failing import NOT_FOUND, Failed
from chat4all.terminal.naming import as_id, chosen
from tests.terminal.made import listed

TEAM = listed(1, title="Equipe")
OTHER_TEAM = listed(2, title="Equipe")
SMALL = listed(3, title="equipe 2")
ANA = listed(4, peer="ana")
CALLED_ANA = listed(5, title="Ana")
BRUNO = listed(6, peer="bruno")
UNTITLED = listed(7, members=("ana", "carla"))


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
    ],
)
def test_a_name_means_one_conversation(name: str, found: ListedConversation) -> None:
    assert chosen(name, [TEAM, OTHER_TEAM, SMALL, ANA, CALLED_ANA, BRUNO, UNTITLED]) == found


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
