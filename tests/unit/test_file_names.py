"""Names of files that strangers gave them: counted in normal form, and cut between characters."""

import pytest
import unicodedata2

from chat4all.domain.file_names import file_name
from chat4all.domain.files import NAME_MAX

GRIN, JOINER = "\U0001f600", "\u200d"


def nfd(text: str) -> str:
    made: str = unicodedata2.normalize("NFD", text)
    return made


@pytest.mark.parametrize("one", ["é", "각", "が", "ệ"])
def test_a_name_has_as_many_characters_however_it_is_written(one: str) -> None:
    """Files of macOS have decomposed names."""
    for count in (100, 150, NAME_MAX - 4):
        assert file_name(nfd(one * count) + ".pdf") == one * count + ".pdf"
    for name in (one * 300, nfd(one * 300)):
        assert file_name(name + ".pdf") == one * (NAME_MAX - 4) + ".pdf"
        assert file_name(name) == one * NAME_MAX


@pytest.mark.parametrize(
    "whole",
    [
        "x\u0302\u0325",  # there is no composed one
        "नि",  # a spacing mark
        f"{GRIN}{JOINER}{GRIN}",
        "\u2764\ufe0f",
    ],
)
def test_nothing_is_torn(whole: str) -> None:
    whole = unicodedata2.normalize("NFC", whole)
    for before in range(len(whole) + 1):
        name = file_name("a" * before + whole * 300 + ".pdf")
        assert len(name) <= NAME_MAX
        assert len(name) > NAME_MAX - len(whole)
        assert name.removeprefix("a" * before).removesuffix(".pdf").replace(whole, "") == ""
        assert unicodedata2.normalize("NFC", name) == name


def test_one_character_that_is_too_long_is_cut() -> None:
    name = file_name("x" + "\u0325" * 300 + ".pdf")
    assert name == "x" + "\u0325" * (NAME_MAX - 5) + ".pdf"


@pytest.mark.parametrize(
    "never",
    ["\ufffe", "\uffff", "\ufdd0", "\U0001ffff", "\U0010fffe", "\0", "\x85", "\n", "\u2066"],
)
def test_what_no_name_has_is_left_out(never: str) -> None:
    assert file_name(f"a{never}.p{never}df") == "a.pdf"
    assert file_name(never) == "file"
    # What it kept apart is one character then.
    assert file_name(f"e{never}\u0301.pdf") == "é.pdf"
