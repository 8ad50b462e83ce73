"""What files are, by their first bytes; and what a browser may show in place."""

import pytest

from chat4all.domain.media_types import FIRST_BYTES, INLINE, UNKNOWN, sniffed


def box(*brands: bytes) -> bytes:
    """Return the first box of a film: its length, `ftyp`, the major brand, a version, others."""
    content = b"ftyp" + brands[0] + bytes(4) + b"".join(brands[1:])
    return (len(content) + 4).to_bytes(4, "big") + content


KNOWN = [
    (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "image/png"),
    (b"\xff\xd8\xff\xe0\0\x10JFIF", "image/jpeg"),
    (b"GIF89a\1\0\1\0", "image/gif"),
    (b"RIFF\x24\0\0\0WEBPVP8 ", "image/webp"),
    (b"RIFF\x24\0\0\0WAVEfmt ", "audio/wav"),
    (box(b"avif", b"mif1"), "image/avif"),
    (box(b"heic", b"mif1"), "image/heic"),
    (box(b"isom", b"iso2", b"avc1", b"mp41"), "video/mp4"),
    (box(b"XXXX", b"mp42"), "video/mp4"),
    (box(b"qt  "), "video/quicktime"),
    (box(b"M4A ", b"isom"), "audio/mp4"),
    (b"\x1aE\xdf\xa3\x9fB\x86\x81\x01B\xf7\x81\x01B\x82\x84webmB\x87", "video/webm"),
    (b"\x1aE\xdf\xa3\xa3B\x82\x88matroskaB\x87", "video/x-matroska"),
    (b"ID3\x04\0\0", "audio/mpeg"),
    (b"\xff\xfb\x90\x64", "audio/mpeg"),
    (b"OggS\0\2", "audio/ogg"),
    (b"fLaC\0\0\0\x22", "audio/flac"),
    (b"%PDF-1.7", "application/pdf"),
    (b"PK\x03\x04\x14", "application/zip"),
]

NOT_KNOWN = [
    b"",
    b"\xff",
    b"<svg xmlns='http://www.w3.org/2000/svg'>",
    b"<!DOCTYPE html>",
    b"GIF88a",
    b"RIFF\0\0\0\0AVI LIST",
    b"RIFF",
    b"\0\0\0\x18ftyp",
    box(b"XXXX", b"YYYY"),
    b"\x1aE\xdf",
    b"plain text",
]


@pytest.mark.parametrize(("first", "wanted"), KNOWN)
def test_a_file_is_what_its_first_bytes_say(first: bytes, wanted: str) -> None:
    assert sniffed(first) == wanted
    assert sniffed((first + bytes(FIRST_BYTES))[:FIRST_BYTES]) == wanted


@pytest.mark.parametrize("first", NOT_KNOWN)
def test_everything_else_is_bytes(first: bytes) -> None:
    assert sniffed(first) == UNKNOWN


def test_a_brand_beyond_its_box_does_not_count() -> None:
    assert sniffed(box(b"XXXX") + b"mp42") == UNKNOWN


def test_nothing_that_can_run_is_shown_in_place() -> None:
    assert {media_type.partition("/")[0] for media_type in INLINE} == {"image", "video", "audio"}
    assert not [one for one in INLINE if "xml" in one or "svg" in one]
    assert UNKNOWN not in INLINE
