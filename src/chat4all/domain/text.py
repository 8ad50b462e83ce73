"""What text is: one rule for titles, names, metadata, messages and searches.

Text is kept in Unicode's normal form C, shows something, and has no control characters. The tables
are those of `unicodedata2`, at the version that is locked: the interpreter's differ between the
releases of Python, and two services must not judge one text differently. It is imported where it is
used: clients have this module and not the tables.

The rule applies to what clients send. What is stored is served as it is, and the router, which
judges bytes alone, never asks.
"""

import re

TIMES_LONGER = 4
"""Code points that normal form C makes one of, at most."""

CONTROLS = r"\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f"
"""No text has them: for the brackets of a regular expression. Line breaks and tabs are not here."""

# Surrogates and noncharacters too. It ends at U+FFFF: up to there `re` is ten times as fast.
_NEVER = rf"{CONTROLS}\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff"

_NEVER_BEYOND = tuple(
    chr(plane + end) for plane in range(0x10000, 0x110000, 0x10000) for end in (0xFFFE, 0xFFFF)
)

# Line and paragraph separators end a line. Embeddings, overrides and isolates reorder what stands
# beside a name; marks (U+200E, U+200F, U+061C), which Arabic and Hebrew need, do not.
_ENDS_OR_TURNS = r"\t\n\r\u2028\u2029\u202a-\u202e\u2066-\u2069"

# Default_Ignorable_Code_Point of Unicode, reserved ones included. It never loses a code point.
_IGNORABLE = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f"
    "\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    "\U000e0000-\U000e0fff"
)
_SPACES = r"\t-\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
# Annotation marks and the object's place holder; letters and symbols that are blank.
_BLANK = "\u2800\ufff9-\ufffc\U00013430-\U0001343f\U00013441\U00013442\U00016fe4\U0001d159"

_JOINER = "\u200d"

_control = re.compile(f"[{_NEVER}]").search
_end_or_turn = re.compile(f"[{_ENDS_OR_TURNS}]").search
_in_no_line = re.compile(f"[{_NEVER}{_ENDS_OR_TURNS}{''.join(_NEVER_BEYOND)}]+")
_shows_nothing = re.compile(f"[{_SPACES}{_IGNORABLE}{_BLANK}]*\\Z").match
_ignorables = re.compile(f"[{_IGNORABLE}]+")

# Capitals that Unicode has gained since version 14, which is Python 3.11's: `str.casefold` knows
# them in some releases only. The folding of all others is fixed for ever.
_LATER_CAPITALS = re.compile(
    "[\u1c89\ua7cb\ua7cc\ua7ce\ua7d2\ua7d4\ua7da\ua7dc\ua7dd\ua7e2\uab6c\uab6d"
    "\U00010d50-\U00010d65\U00016ea0-\U00016eb8\U0001df40-\U0001df7e]"
)


class UnfitText(ValueError):
    """A text that breaks the rule; says how, without the text."""


def one_line(text: str, most: int) -> str:
    """Return the normal form of a name, a title or a search: 1 to `most` code points, one line.

    Raises `UnfitText`.
    """
    return text if _is_plain(text, most) else _examined(text, most, is_line=True)


def paragraphs(text: str, most: int) -> str:
    """Return the normal form of 1 to `most` code points, among them line breaks and tabs.

    Raises `UnfitText`.
    """
    return text if _is_plain(text, most) else _examined(text, most, is_line=False)


def _is_plain(text: str, most: int) -> bool:
    """Say at once that a text keeps the rule as it is; False for those to be examined."""
    return text.isascii() and text.isprintable() and 0 < len(text) <= most and not text.isspace()


def _examined(text: str, most: int, *, is_line: bool) -> str:
    # The time to normalize a text depends on its length.
    if len(text) <= most * TIMES_LONGER:
        text = _normalized("NFC", text)
    if len(text) > most:
        raise UnfitText(f"at most {most:,} characters")
    if _has_control(text):
        raise UnfitText("control characters are not allowed")
    if is_line and not text.isprintable() and _end_or_turn(text):
        raise UnfitText("one line: no line breaks, tabs or changes of direction")
    if _shows_nothing(text):
        raise UnfitText("at least 1 character" if not text else "this shows nothing")
    return text


def _normalized(form: str, text: str) -> str:
    import unicodedata2  # noqa: PLC0415

    normal: str = unicodedata2.normalize(form, text)
    return normal


def _is_mark(character: str) -> bool:
    import unicodedata2  # noqa: PLC0415

    category: str = unicodedata2.category(character)
    return category.startswith("M")


def _has_control(text: str) -> bool:
    # What any release of Python takes for printable has no control and no noncharacter.
    if text.isprintable():
        return False
    beyond = not text.isascii() and any(one in text for one in _NEVER_BEYOND)
    return beyond or _control(text) is not None


def is_name(text: str) -> bool:
    """Say whether anything can have this name: databases take no U+0000, UTF-8 no surrogate."""
    return not _has_control(text) and not _end_or_turn(text)


def without_what_no_line_has(text: str) -> str:
    """Return the normal form of a text that is cleaned and not refused: a name out of a file."""
    return _normalized("NFC", _in_no_line.sub("", text))


def cut(text: str, most: int) -> str:
    """Return the beginning of a text in normal form, at most so long, without a torn character.

    A base stays with its marks, and an emoji with what is joined to it, unless all of it is one.
    """
    end = most
    while 0 < end < len(text) and (_is_mark(text[end]) or _JOINER in text[end - 1 : end + 1]):
        end -= 1
    return text[: end or most]


def fit_line(text: str, most: int) -> str:
    """Return what of a text that nobody typed can be a name: "" where that shows nothing.

    Its normal form without what no line has, cut to `most` code points.
    """
    # The time to normalize a text depends on its length.
    line = cut(without_what_no_line_has(text[: most * TIMES_LONGER]), most).strip()
    return "" if _shows_nothing(line) else line


def search_key(text: str, most: int) -> str:
    """Return what searches compare: the same for texts that differ in case, width or ignorables.

    It is Unicode's `toNFKC_Casefold`, cut to `most` code points. Databases have no part in it:
    their own idea of case differs between engines and locales.
    """
    if text.isascii():
        return text.lower()[:most]
    folded = casefold(_normalized("NFD", text))
    folded = casefold(_normalized("NFKC", _ignorables.sub("", folded)))
    return _normalized("NFKC", _ignorables.sub("", folded))[:most]


def casefold(text: str) -> str:
    """Return a text without its differences of case, the same on every release of Python."""
    if text.isascii():
        return text.lower()
    end, parts = 0, []
    for later in _LATER_CAPITALS.finditer(text):
        parts += [text[end : later.start()].casefold(), later[0]]
        end = later.end()
    return "".join([*parts, text[end:].casefold()])
