"""Pictures that strangers made: what is said of them, and that they do no harm."""

import asyncio
import os
import re
import signal
import subprocess
import sys
import time
import zlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pyvips

from chat4all.adapters.pictures import LimitedPictures, child, process
from chat4all.adapters.pictures.child import PICTURE_MAX
from chat4all.domain.errors import Unavailable, UnreadablePicture
from tests.pictures import chunk

pytestmark = [pytest.mark.slow, pytest.mark.anyio]

PLACE = b"Rua das Flores, 12"


async def streamed(raw: bytes, taken: list[int] | None = None) -> AsyncIterator[bytes]:
    for first in range(0, len(raw), 65_536):
        if taken is not None:
            taken.append(first)
        yield raw[first : first + 65_536]


def image(width: int, height: int) -> pyvips.Image:
    """Return a picture that is red on the left and blue on the right."""
    left = pyvips.Image.black(width // 2, height).new_from_image([200, 30, 30])
    right = pyvips.Image.black(width - width // 2, height).new_from_image([30, 30, 200])
    made: pyvips.Image = left.join(right, "horizontal").cast("uchar")
    return made.copy(interpretation="srgb")


def moving(width: int, height: int, pairs: int) -> pyvips.Image:
    """Return a picture that turns round and back, so many times."""
    still = image(width, height)
    frames = pyvips.Image.arrayjoin([still, still.flip("horizontal")] * pairs, across=1).copy()
    frames.set_type(pyvips.GValue.gint_type, "page-height", height)
    return frames


def opened(raw: bytes) -> pyvips.Image:
    return pyvips.Image.new_from_buffer(raw, "")


@pytest.mark.parametrize("form", [".jpg", ".png", ".webp", ".gif", ".avif"])
async def test_a_picture_of_every_form(form: str) -> None:
    raw = image(640, 400).write_to_buffer(form)
    found = await LimitedPictures().look(streamed(raw))
    assert (found.width, found.height) == (640, 400)
    assert 20 < len(found.blurhash) < 40
    small = await LimitedPictures().thumbnail(streamed(raw), 128)
    shown = opened(small)
    assert (shown.width, shown.height, shown.get("vips-loader")) == (128, 80, "webpload_buffer")
    red, _, blue = shown.getpoint(10, 40)[:3]
    assert red > blue


async def test_a_small_picture_is_not_made_larger() -> None:
    raw = image(60, 40).write_to_buffer(".png")
    shown = opened(await LimitedPictures().thumbnail(streamed(raw), 480))
    assert (shown.width, shown.height) == (60, 40)


async def test_a_thumbnail_says_nothing_of_where_it_was_made_and_stands_upright() -> None:
    """Fails when metadata is kept, and when the orientation in it is ignored."""
    picture = image(640, 400).copy()
    picture.set_type(pyvips.GValue.gint_type, "orientation", 6)  # a quarter turn clockwise
    picture.set_type(pyvips.GValue.gstr_type, "exif-ifd0-ImageDescription", PLACE.decode())
    picture.set_type(pyvips.GValue.gstr_type, "exif-ifd3-GPSLatitude", "23/1 33/1 1/1")
    raw = picture.write_to_buffer(".jpg")
    assert PLACE in raw
    assert "exif-ifd3-GPSLatitude" in opened(raw).get_fields()
    found = await LimitedPictures().look(streamed(raw))
    assert (found.width, found.height) == (400, 640)
    small = await LimitedPictures().thumbnail(streamed(raw), 128)
    shown = opened(small)
    assert (shown.width, shown.height) == (80, 128)
    assert PLACE not in small
    assert not [name for name in shown.get_fields() if name.startswith("exif")]
    red, _, blue = shown.getpoint(40, 10)[:3]
    assert red > blue


async def test_what_moves_stays_one_frame() -> None:
    raw = moving(100, 100, pairs=1).write_to_buffer(".gif")
    assert opened(raw).get("n-pages") == 2
    found = await LimitedPictures().look(streamed(raw))
    assert (found.width, found.height) == (100, 100)
    shown = opened(await LimitedPictures().thumbnail(streamed(raw), 128))
    assert shown.height == 100
    assert shown.get_n_pages() == 1


SVG = (
    b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><script>alert(1)</script></svg>'
)


async def test_what_is_no_picture_is_not_read() -> None:
    """Fails when all loaders may run: libvips has one for each of these."""
    tiff = image(64, 64).write_to_buffer(".tif")
    ppm = b"P6 2 2 255\n" + bytes(12)
    for raw in (SVG, tiff, ppm, b"", b"%PDF-1.7\n", b"GIF89a", os.urandom(5_000)):
        with pytest.raises(UnreadablePicture):
            await LimitedPictures().look(streamed(raw))
        with pytest.raises(UnreadablePicture):
            await LimitedPictures().thumbnail(streamed(raw), 128)


async def test_a_picture_that_is_something_else_too_leaves_only_the_picture() -> None:
    both = image(64, 64).write_to_buffer(".jpg") + SVG
    small = await LimitedPictures().thumbnail(streamed(both), 128)
    assert b"script" not in small
    assert opened(small).width == 64


async def test_pictures_that_would_cost_too_much_are_not_read() -> None:
    """Fails when pixels are not counted before they are decoded."""
    bomb = pyvips.Image.black(10_000, 10_000).write_to_buffer(".png")
    assert len(bomb) < 1_000_000
    started = time.monotonic()
    with pytest.raises(UnreadablePicture):
        await LimitedPictures().look(streamed(bomb))
    with pytest.raises(UnreadablePicture):
        await LimitedPictures().thumbnail(streamed(bomb), 128)
    assert time.monotonic() - started < 30
    taken: list[int] = []
    with pytest.raises(UnreadablePicture):
        await LimitedPictures().look(streamed(bytes(2 * PICTURE_MAX), taken))
    assert taken[-1] <= PICTURE_MAX + 65_536


async def test_metadata_that_grow_when_they_are_read_are_bounded() -> None:
    """Half a gigabyte of nothing, as a text and as a colour profile; fails without its limits."""
    grown = zlib.compress(bytes(512 * 1024 * 1024), 9)
    plain = image(64, 64).write_to_buffer(".png")
    head = plain.index(b"IDAT") - 4
    for kind, names in ((b"zTXt", b"Comment\0\0"), (b"iCCP", b"sRGB\0\0")):
        raw = plain[:head] + chunk(kind, names + grown) + plain[head:]
        assert len(raw) < 1_000_000
        started = time.monotonic()
        try:
            found = await LimitedPictures().look(streamed(raw))
        except UnreadablePicture:
            pass
        else:
            assert (found.width, found.height) == (64, 64)
            small = await LimitedPictures().thumbnail(streamed(raw), 128)
            assert len(small) < 10_000
        assert time.monotonic() - started < 30


@pytest.mark.parametrize("size", [(60_000, 1), (1, 60_000), (1, 1)])
async def test_a_line_is_a_picture_too(size: tuple[int, int]) -> None:
    raw = pyvips.Image.black(*size, bands=3).write_to_buffer(".png")
    found = await LimitedPictures().look(streamed(raw))
    assert (found.width, found.height) == size
    shown = opened(await LimitedPictures().thumbnail(streamed(raw), 128))
    assert (shown.width, shown.height) == tuple(min(one, 128) for one in size)


async def test_the_largest_that_is_read_fits_into_memory() -> None:
    raw = pyvips.Image.black(9_000, 9_000, bands=3).write_to_buffer(".png", interlace=True)
    found = await LimitedPictures().look(streamed(raw))
    assert (found.width, found.height) == (9_000, 9_000)


def numbers_of_children() -> list[int]:
    return [int(one) for one in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()]


def children() -> list[bytes]:
    """Return the command lines of this process's children."""
    return [Path(f"/proc/{number}/cmdline").read_bytes() for number in numbers_of_children()]


def ignored_by(number: int) -> int:
    """Return a bit for each signal that a process ignores."""
    status = Path(f"/proc/{number}/status").read_text()
    return int(re.findall(r"^SigIgn:\s*(\w+)", status, re.MULTILINE)[0], 16)


async def test_a_process_that_takes_too_long_is_ended() -> None:
    """Fails when it is left running: it would go on for as long as its input is open."""

    async def never() -> AsyncIterator[bytes]:
        yield b"GIF89a"
        await asyncio.Event().wait()

    with pytest.raises(Unavailable):
        await LimitedPictures(seconds=1.0).look(never())
    assert not [line for line in children() if b"pictures/child.py" in line]


async def test_the_process_has_none_of_our_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, str] = {}
    make = asyncio.create_subprocess_exec

    async def watched(*arguments: str, **options: object) -> object:
        seen.update(options["env"])  # type: ignore[call-overload]
        return await make(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(asyncio, "create_subprocess_exec", watched)
    monkeypatch.setenv("SECRET_KEY", "secret")
    raw = image(64, 64).write_to_buffer(".png")
    assert (await LimitedPictures().look(streamed(raw))).width == 64
    assert "SECRET_KEY" not in seen
    assert seen


def test_its_process_is_the_first_to_end_where_memory_runs_out() -> None:
    """Fails when a picture can end the service that shares its memory limit."""
    program = (
        "from chat4all.adapters.pictures.child import limit_process\n"
        "limit_process()\n"
        "print(open('/proc/self/oom_score_adj').read())"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert int(done.stdout) == 1000


@pytest.mark.parametrize("number", child.ENDING)
async def test_what_ends_the_service_leaves_the_picture_that_it_looks_at(
    number: signal.Signals,
) -> None:
    """Fails when Ctrl-C, or systemd, ends both: the picture is taken for one that none can read."""

    others = numbers_of_children()

    async def ended_meanwhile() -> AsyncIterator[bytes]:
        (looks,) = set(numbers_of_children()).difference(others)
        async with asyncio.timeout(30):
            while not ignored_by(looks) & 1 << number - 1:
                await asyncio.sleep(0.001)
        os.kill(looks, number)
        yield image(64, 48).write_to_buffer(".png")

    facts = await LimitedPictures().look(ended_meanwhile())
    assert (facts.width, facts.height) == (64, 48)


async def test_a_picture_whose_process_is_ended_at_its_start_can_be_looked_at_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not one that cannot be read."""
    early = tmp_path / "child.py"
    early.write_text("import os, signal\nos.kill(os.getpid(), signal.SIGTERM)\n")
    monkeypatch.setattr(process, "_CHILD", str(early))
    with pytest.raises(Unavailable):
        await LimitedPictures().look(streamed(b"GIF89a"))
