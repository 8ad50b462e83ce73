"""The rule of text: normal form, what shows nothing, controls, searches; and passwords."""

import unicodedata

import pytest
import unicodedata2
from hypothesis import given, settings
from hypothesis import strategies as st
from precis_i18n.unicode import UnicodeData

from chat4all.domain import text
from chat4all.domain.passwords import normal_password, password_errors
from chat4all.domain.people import display_name, note, note_key, title
from chat4all.domain.text import UnfitText, casefold, fit_line, one_line, paragraphs, search_key

DECOMPOSED = "contrasen\u0303a"
COMPOSED = "contrase\u00f1a"


def fits(rule: object, value: str) -> bool:
    try:
        rule(value, 100)  # type: ignore[operator]
    except UnfitText:
        return False
    return True


@pytest.mark.parametrize(
    "name",
    [
        "Ana",
        "👩‍💻",
        "👨‍👩‍👧‍👦 Família",
        "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",  # England's flag
        "❤️",
        "می‌خواهم",  # with a zero width non-joiner
        "क्‍ष",
        "\u200fعلي\u200f",
        "José",
        "日本語",
        "\U0001fae9 new",  # an emoji of Unicode 16
        "a b",
        "\ue000",  # private use: a font of the organization may show it
    ],
)
def test_names_may_have_all_that_people_write(name: str) -> None:
    assert one_line(name, 100) == name == paragraphs(name, 100)
    assert display_name(name) == title(name) == note_key(name) == note(name) == name


@pytest.mark.parametrize(
    "nothing",
    [
        *(" ", "   ", "\u3164", "\u2800", "\u200b", "\u00ad", "\ufe0f", "\u2060", "\ufeff"),
        *("\u115f", "\uffa0", "\u00a0", "\u3000", "\u034f", "\U000e0061", "\U000e0100", "\u200d"),
        *(
            "\u180e",
            "\u2028",
            "\ufffc",
            "\u202e\u202c",
            "\u2800 \u3164\t\n",
            "\u200e",
            "\U0001d159",
        ),
    ],
)
def test_what_shows_nothing_is_refused_everywhere(nothing: str) -> None:
    assert not fits(one_line, nothing)
    assert not fits(paragraphs, nothing)
    # Among what shows something it may be.
    assert fits(paragraphs, f"a{nothing}b")


@pytest.mark.parametrize(
    "control",
    [
        *("\0", "\x01", "\x08", "\x0b", "\x0c", "\x1b", "\x7f", "\x80", "\x85", "\x9f"),
        *("\ud800", "\udfff", "\ufdd0", "\ufffe", "\uffff", "\U0001fffe", "\U0010ffff"),
    ],
)
def test_controls_and_what_is_no_character_are_refused_everywhere(control: str) -> None:
    for rule in (one_line, paragraphs):
        for value in (control, f"a{control}", f"👩‍💻{control}\n"):
            assert not fits(rule, value)


@pytest.mark.parametrize("turn", ["\n", "\t", "\r\n", "\u2028", "\u2029", "\u202e", "\u2066"])
def test_lines_tabs_and_turns_are_for_content_only(turn: str) -> None:
    value = f"a{turn}b"
    assert not fits(one_line, value)
    assert paragraphs(value, 100) == value
    for rule in (display_name, title, note_key):
        with pytest.raises(UnfitText):
            rule(value)
    assert note(value) == value


def test_lengths_are_those_of_the_normal_form() -> None:
    assert paragraphs("n\u0303" * 10, 10) == "ñ" * 10
    assert one_line("\u1100\u1161\u11a8" * 10, 10) == "각" * 10
    for rule in (one_line, paragraphs):
        for long in ("a" * 11, "ñ" * 11, "\u0958" * 6, "n\u0303" * 11, "a" * 50):
            with pytest.raises(UnfitText, match=r"^at most 10 characters$"):
                rule(long, 10)
    assert one_line("\u0958" * 5, 10) == "\u0915\u093c" * 5  # composed, it is longer
    assert not fits(one_line, "")
    assert display_name("") == note("") == ""


@pytest.mark.thorough
@settings(max_examples=300)
@given(st.text(max_size=20))
def test_what_is_kept_is_kept_as_it_is_the_next_time(value: str) -> None:
    for rule in (one_line, paragraphs):
        try:
            kept = rule(value, 100)
        except UnfitText:
            continue
        assert rule(kept, 100) == kept == unicodedata2.normalize("NFC", value)
    assert search_key(search_key(value, 999), 999) == search_key(value, 999)


@pytest.mark.thorough
def test_the_tables_are_not_the_interpreters() -> None:
    assert unicodedata2.unidata_version == "18.0.0"
    ignorable = UnicodeData(unicodedata2).default_ignorable
    for code in range(0x110000):
        if code not in range(0xD800, 0xE000):
            assert bool(text._ignorables.match(chr(code))) == ignorable(code), hex(code)


@pytest.mark.thorough
def test_capitals_that_some_interpreters_do_not_know_are_left_alone() -> None:
    later = {
        chr(code)
        for code in range(0x110000)
        if unicodedata.category(chr(code)) == "Cn"
        and unicodedata2.category(chr(code)) in ("Lu", "Lt")
    }
    assert {c for c in later if not text._LATER_CAPITALS.match(c)} == set()
    assert casefold("É\ua7cbÉ") == "é\ua7cbé"


def test_a_search_finds_every_spelling() -> None:
    for one, other in [
        ("JOSÉ", "jose\u0301"),
        ("Straße", "STRASSE"),
        ("\uff21\uff2e\uff21", "ana"),
        ("a\u200bna", "Ana"),
        ("ﬁ", "FI"),
        ("İ", "i\u0307"),
        ("ΟΔΟΣ", "οδος"),
    ]:
        assert search_key(one, 99) == search_key(other, 99)
    assert search_key("José", 99) != search_key("Jose", 99)
    assert len(search_key("\ufdfa" * 80, 240)) == 240


def test_a_password_is_the_same_however_it_is_spelled() -> None:
    assert normal_password(DECOMPOSED) == normal_password(COMPOSED) == COMPOSED
    assert normal_password("a\u00a0b\u3000c") == "a b c"
    assert (
        normal_password("UPPER lower \uff21") == "UPPER lower \uff21"
    )  # neither case nor width change
    for strange in ("\0", "a\tb", "a\u200bb", "\ud800", "a\u0378", "x" * 8 + "\x7f", "é\n"):
        with pytest.raises(UnfitText) as refused:
            normal_password(strange)
        assert strange not in str(refused.value)
        assert refused.value.__cause__ is None


def test_bytes_and_characters_of_a_password_are_counted_afterwards() -> None:
    assert password_errors("n\u0303" * 36) == []
    assert password_errors("ñ" * 37)[0].detail == "at most 72 bytes in UTF-8"
    assert password_errors("n\u0303" * 7)[0].detail == "at least 8 characters"
    assert password_errors("n\u0303" * 8) == []
    assert password_errors("é" * 60_000)[0].detail == "at most 72 bytes in UTF-8"


@pytest.mark.thorough
@settings(max_examples=300)
@given(st.text(max_size=20))
def test_what_nobody_typed_is_made_to_fit(value: str) -> None:
    for most in (5, 100):
        line = fit_line(value, most)
        assert line == "" or one_line(line, most) == line
        assert fit_line(line, most) == line
    if fits(one_line, value) and value == value.strip():
        assert line == one_line(value, 100)
