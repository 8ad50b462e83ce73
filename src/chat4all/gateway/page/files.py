"""The page's files: read once, compressed once, under an address that says which version they are.

The modules of `clients/js` are among them, as they stand: a checkout has them there, and a wheel
beside the others.
"""

import gzip
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

STATIC = Path(__file__).parent / "static"
INDEX = "index.html"
LOADER = "loading.js"
"""It loads the page anew when files of its version are not there, and so has none itself."""

CLIENT = ("chat4all.js", "chat4all-files.js")
CHECKOUT = Path(__file__).parents[4] / "clients" / "js"

_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_COMPRESSED_FROM = 512


@dataclass(frozen=True, slots=True)
class PageFile:
    """A file as it is sent, and compressed if that is worth it."""

    media_type: str
    etag: str
    content: bytes
    gzipped: bytes | None


@dataclass(frozen=True, slots=True)
class PageFiles:
    """The files by their paths, and the version of all of them together."""

    version: str
    files: Mapping[str, PageFile]


def file_of(name: str, content: bytes) -> PageFile:
    """Return a file as it is sent; its name says its type."""
    gzipped = gzip.compress(content, mtime=0) if len(content) >= _COMPRESSED_FROM else None
    return PageFile(
        _TYPES[Path(name).suffix],
        f'"{hashlib.sha256(content).hexdigest()[:32]}"',
        content,
        gzipped,
    )


@cache
def page_files(folder: Path = STATIC) -> PageFiles:
    """Return all files. The first call takes 10 ms: not on an event loop."""
    found = {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.suffix in _TYPES
    }
    for name in CLIENT:
        if name not in found:
            found[name] = (CHECKOUT / name).read_bytes()
    digest = hashlib.sha256()
    for name, content in sorted(found.items()):
        digest.update(f"{name}\0{len(content)}\0".encode())
        digest.update(content)
    return PageFiles(
        digest.hexdigest()[:16], {name: file_of(name, content) for name, content in found.items()}
    )
