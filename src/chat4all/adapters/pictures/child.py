"""The process that looks at one picture: `python child.py look`, or `thumbnail SIZE`.

It reads the picture from its input and writes what is asked for to its output. A decoder of what
strangers send is what an attack aims at; so it runs here, for one picture, with bounds on memory
and time, and nothing else in the process. Exit status: 0, or `UNREADABLE`.
"""

import json
import resource
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

MEMORY_MAX = 1024**3
"""Bytes of address space, libraries included: a progressive JPEG of 90 million pixels fits."""

SECONDS_MAX = 15
"""Of processor time."""

PIXELS_MAX = 90_000_000
PICTURE_MAX = 64 * 1024 * 1024
"""Bytes of a picture; a larger one is a file like any other."""

BLURHASH_PIXELS = 32
BLURHASH_COMPONENTS = 4

QUALITY = 80

LOADERS = ("Jpeg", "Png", "Webp", "Nsgif", "Heif")
"""Those of libvips that may run. `Heif` reads AVIF."""

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

UNREADABLE = 3
"""Not 1, which is a defect of ours."""


class _Unreadable(Exception):
    pass


def ignore_signals() -> None:
    """Leave it to the other process when this one ends: both get what a terminal or systemd sends.

    It finishes what it has accepted, this picture too.
    """
    for number in ENDING:
        signal.signal(number, signal.SIG_IGN)


def limit_process() -> None:
    """Take away what the rest of this process does not need."""
    # Where memory runs out, the kernel is to end this process, and not the one that serves.
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_MAX, MEMORY_MAX))
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS_MAX, SECONDS_MAX))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))  # no file can be written
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def load_vips() -> Any:
    """Return pyvips with all loaders but a few blocked."""
    import pyvips  # noqa: PLC0415 - the other process reads this module's limits

    pyvips.operation_block_set("VipsForeignLoad", True)
    for name in LOADERS:
        pyvips.operation_block_set(f"VipsForeignLoad{name}", False)
    pyvips.cache_set_max(0)
    return pyvips


def look(vips: Any, raw: bytes) -> bytes:
    """Return size and blurhash as JSON."""
    import blurhash  # noqa: PLC0415

    image = _opened(vips, raw)
    turned = image.autorot()
    small = vips.Image.thumbnail_buffer(raw, BLURHASH_PIXELS, height=BLURHASH_PIXELS, size="down")
    small = small.colourspace("srgb")
    if small.hasalpha():
        small = small.flatten(background=255)
    pixels = bytes(small.write_to_memory())
    bands, width = small.bands, small.width
    rows = [
        [
            [pixels[(y * width + x) * bands + (band if bands >= 3 else 0)] for band in range(3)]
            for x in range(width)
        ]
        for y in range(small.height)
    ]
    found = {
        "width": turned.width,
        "height": turned.height,
        "blurhash": blurhash.encode(rows, BLURHASH_COMPONENTS, BLURHASH_COMPONENTS),
    }
    return json.dumps(found).encode()


def thumbnail(vips: Any, raw: bytes, size: int) -> bytes:
    """Return a WebP of the first frame, rotated as its metadata says."""
    _opened(vips, raw)
    small = vips.Image.thumbnail_buffer(raw, size, height=size, size="down")
    made: bytes = small.webpsave_buffer(Q=QUALITY, keep="none")
    return made


def _opened(vips: Any, raw: bytes) -> Any:
    """Return the picture's first frame with only its head read, if it is not too large."""
    image = vips.Image.new_from_buffer(raw, "", access="sequential")
    if image.width * image.height > PIXELS_MAX:
        raise _Unreadable
    return image


def main(arguments: list[str]) -> int:
    """Do what is asked for."""
    ignore_signals()
    limit_process()
    vips = load_vips()
    raw = sys.stdin.buffer.read(PICTURE_MAX + 1)
    if len(raw) > PICTURE_MAX:
        return UNREADABLE
    try:
        match arguments:
            case ["look"]:
                answer = look(vips, raw)
            case ["thumbnail", size]:
                answer = thumbnail(vips, raw, int(size))
            case _:
                raise AssertionError(arguments)
    except (vips.Error, _Unreadable, MemoryError):
        return UNREADABLE
    sys.stdout.buffer.write(answer)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
