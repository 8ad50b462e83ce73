"""What a file is, by its first bytes: after the WHATWG's MIME Sniffing Standard, section 6.

Its uploader's word and its name count for nothing here: what a browser may show in place depends
on it.
"""

FIRST_BYTES = 512
"""Bytes that `sniffed` looks at, at most."""

UNKNOWN = "application/octet-stream"

_STARTS = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"ID3", "audio/mpeg"),
    (b"OggS\x00", "audio/ogg"),
    (b"fLaC", "audio/flac"),
    (b"%PDF-", "application/pdf"),
    (b"PK\x03\x04", "application/zip"),
    (b"\x1f\x8b\x08", "application/gzip"),
)
_RIFF = {b"WEBPVP": "image/webp", b"WAVEfm": "audio/wav"}

# ISO 14496-12: the first box names what may read the file. The major brand decides first.
_MAJOR_BRANDS = {
    b"avif": "image/avif",
    b"avis": "image/avif",
    b"heic": "image/heic",
    b"mif1": "image/heif",
    b"M4A ": "audio/mp4",
    b"M4B ": "audio/mp4",
    b"qt  ": "video/quicktime",
}
_VIDEO_BRANDS = (b"mp4", b"iso", b"avc1", b"M4V", b"dash")
_BRANDS_AT = 16

_EBML = b"\x1aE\xdf\xa3"
_DOCTYPE = b"\x42\x82"
_DOCTYPE_WITHIN = 64

_MPEG_AUDIO = frozenset({0xFA, 0xFB, 0xF2, 0xF3})
"""Second bytes of a frame of MPEG-1 or MPEG-2, layer III."""

INLINE = frozenset(
    {
        "image/png",
        "image/jpeg",
        "image/gif",
        "image/webp",
        "image/avif",
        "video/mp4",
        "video/webm",
        "audio/mpeg",
        "audio/ogg",
        "audio/wav",
        "audio/mp4",
        "audio/flac",
    }
)
"""What a browser may show in place: none of these can carry a script that it would run."""


def sniffed(first: bytes) -> str:
    """Return the media type of a file that begins with these bytes; `UNKNOWN` if it is none."""
    for start, media_type in _STARTS:
        if first.startswith(start):
            return media_type
    if first.startswith(b"RIFF"):
        return _RIFF.get(first[8:14], UNKNOWN)
    if first[4:8] == b"ftyp":
        return _by_brands(first)
    if first.startswith(_EBML):
        doctype = first.find(_DOCTYPE, 4, _DOCTYPE_WITHIN)
        is_webm = doctype >= 0 and first[doctype + 3 : doctype + 7] == b"webm"
        return "video/webm" if is_webm else "video/x-matroska"
    if first[:1] == b"\xff" and len(first) > 1 and first[1] in _MPEG_AUDIO:
        return "audio/mpeg"
    return UNKNOWN


def _by_brands(first: bytes) -> str:
    if (known := _MAJOR_BRANDS.get(first[8:12])) is not None:
        return known
    end = min(int.from_bytes(first[:4], "big"), len(first))
    brands = [first[8:12], *(first[at : at + 4] for at in range(_BRANDS_AT, end - 3, 4))]
    return "video/mp4" if any(one.startswith(_VIDEO_BRANDS) for one in brands) else UNKNOWN
