"""Ids have one canonical form, made in one place."""

import pytest

from chat4all.domain.ids import canonical_uuid, conversation_id, message_id

UPPER = "0199F3A4-7C1E-7D2A-9B6E-3F1C5A8E2D47"


def test_two_spellings_of_an_id_are_one_id() -> None:
    for canonical in (canonical_uuid, conversation_id, message_id):
        assert canonical(UPPER) == canonical(UPPER.lower()) == UPPER.lower()


@pytest.mark.parametrize(
    "text", ["", "abc", UPPER.replace("-", ""), f"{UPPER}\n", f" {UPPER}", f"{{{UPPER}}}"]
)
def test_what_is_not_a_uuid_is_no_id(text: str) -> None:
    for canonical in (canonical_uuid, conversation_id, message_id):
        with pytest.raises(ValueError, match="not a UUID"):
            canonical(text)
