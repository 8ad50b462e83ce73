"""Pictures of every form that would cost too much, or are not what they say: they do no harm."""

import struct
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import pyvips

from chat4all.adapters.pictures import LimitedPictures
from chat4all.adapters.pictures.child import PIXELS_MAX
from chat4all.domain.errors import Chat4AllError, UnreadablePicture
from tests.api import conftest
from tests.api.conftest import Api, running
from tests.api.test_attached import send, status
from tests.api.tus import Tus, named
from tests.files.bombs import gif, replaced, scans
from tests.files.test_pictures import SVG, children, image, moving, opened, streamed
from tests.unit.test_media_types import box

pytestmark = [pytest.mark.slow, pytest.mark.anyio, pytest.mark.timeout(150)]

LARGE = 10_000

SHOWN = {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".gif", ".avif"}
"""Endings of the forms that are looked at."""


def written(form: str, **options: Any) -> bytes:
    raw: bytes = image(64, 64).write_to_buffer(form, **options)
    return raw


def black(form: str, **options: Any) -> bytes:
    """Return what is really as large when it is decoded."""
    raw: bytes = pyvips.Image.black(LARGE, LARGE, bands=3).write_to_buffer(form, **options)
    return raw


BOMBS: dict[str, Callable[[], bytes]] = {
    "jpeg": lambda: black(".jpg"),
    "jpeg in scans": lambda: black(".jpg", interlace=True),
    "jpeg by its head": lambda: replaced(
        written(".jpg"), b"\xff\xc0", 3, struct.pack(">HH", 65_500, 65_500)
    ),
    "gif": lambda: gif(LARGE, LARGE),
    "gif of many frames": lambda: gif(LARGE, LARGE, frames=20),
    "webp": lambda: black(".webp", lossless=True, effort=0),
    "avif by its head": lambda: replaced(
        written(".avif"), b"ispe", 4, struct.pack(">II", 20_000, 20_000)
    ),
}


@pytest.mark.parametrize("name", BOMBS)
async def test_a_picture_of_too_many_pixels_is_not_decoded(name: str) -> None:
    """Fails when pixels are not counted before they are decoded."""
    bomb = BOMBS[name]()
    assert len(bomb) < 2_000_000
    with pytest.raises(UnreadablePicture):
        await LimitedPictures().look(streamed(bomb))
    with pytest.raises(UnreadablePicture):
        await LimitedPictures().thumbnail(streamed(bomb), 128)


async def test_the_pixels_of_one_frame_count_and_the_others_are_not_decoded() -> None:
    """Five gigapixels: they would take minutes."""
    raw = gif(1_000, 1_000, frames=5_000)
    found = await LimitedPictures().look(streamed(raw))
    assert (found.width, found.height) == (1_000, 1_000)
    shown = opened(await LimitedPictures().thumbnail(streamed(raw), 128))
    assert (shown.width, shown.height, shown.get_n_pages()) == (128, 128, 1)
    red, _, blue = shown.getpoint(64, 64)[:3]
    assert red > blue


async def test_many_frames_of_other_forms() -> None:
    raw = moving(400, 400, pairs=30).write_to_buffer(".webp")
    assert opened(raw).get("n-pages") == 60
    found = await LimitedPictures().look(streamed(raw))
    assert (found.width, found.height) == (400, 400)
    shown = opened(await LimitedPictures().thumbnail(streamed(raw), 128))
    assert (shown.height, shown.get_n_pages()) == (128, 1)


ODD: dict[str, Callable[[], bytes]] = {
    "nothing on a large screen": lambda: replaced(
        gif(2, 2), b"GIF89a", 0, struct.pack("<HH", 65_535, 65_535)
    ),
    "a frame that is larger than its screen": lambda: replaced(
        gif(8_000, 8_000), b"GIF89a", 0, struct.pack("<HH", 64, 64)
    ),
    "no pixels": lambda: replaced(gif(2, 2), b"GIF89a", 0, bytes(4)),
    "an end before its time": lambda: gif(5_000, 5_000)[:400],
    "thousands of scans": lambda: scans(5_000, 4_000),
}


@pytest.mark.parametrize("name", ODD)
async def test_an_odd_picture_is_read_or_refused_and_its_process_has_ended(name: str) -> None:
    """Its time and memory are bounded, whatever its decoder makes of it."""
    raw = ODD[name]()
    for ask in (LimitedPictures().look, lambda of: LimitedPictures().thumbnail(of, 128)):
        try:
            answer = await ask(streamed(raw))
        except Chat4AllError:  # it cannot be read, or not in time
            continue
        finally:
            assert not [line for line in children() if b"pictures/child.py" in line]
        if isinstance(answer, bytes):
            assert len(answer) < 10_000
        else:
            assert 0 < answer.width * answer.height <= PIXELS_MAX


def pdf() -> bytes:
    """Return a page with a red square on it."""
    drawn = b"1 0 0 rg 0 0 64 64 re f"
    parts = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 64 64]/Contents 4 0 R>>",
        b"<</Length %d>>stream\n%s\nendstream" % (len(drawn), drawn),
    ]
    raw, places = b"%PDF-1.4\n", list[int]()
    for number, part in enumerate(parts, start=1):
        places.append(len(raw))
        raw += b"%d 0 obj\n%s\nendobj\n" % (number, part)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    head = b"xref\n0 5\n0000000000 65535 f \n"
    end = b"trailer<</Size 5/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF" % len(raw)
    return raw + head + table + end


def others() -> dict[str, bytes]:
    """Return a picture in every form that libvips writes here and we do not read, and some more."""
    found = {
        "svg": SVG,
        "pdf": pdf(),
        "ppm": b"P6 8 8 255\n" + bytes(192),
        "hdr": b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y 1 +X 1\n" + bytes(4),
        # Compressed by HEVC, for which there is no decoder.
        "heic": written(".avif").replace(b"avif", b"heic").replace(b"av01", b"hvc1"),
    }
    for form in sorted({*pyvips.get_suffixes()} - SHOWN):
        try:
            found[form] = written(form)
        except pyvips.Error:  # not into memory
            continue
    assert {".tif", ".csv"} <= found.keys()
    return found


@pytest.fixture
async def api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Api]:
    """Pictures are looked at by the real process here."""
    monkeypatch.setattr(conftest, "FakePictures", LimitedPictures)
    async with running(tmp_path / "data", rate_limits="off") as found:
        yield found


async def test_other_forms_are_not_read_whatever_they_are_said_to_be(api: Api) -> None:
    """Fails when all loaders may run, and when the name or the type that is said counts."""
    bruno = await api.sign_in("bruno")
    for form, raw in others().items():
        with pytest.raises(UnreadablePicture):
            await LimitedPictures().look(streamed(raw))
        path = await Tus(api, bruno).upload(raw, **named("mar.png", "image/png"))
        file_id = path.rpartition("/")[2]
        assert await status(api, bruno, file_id, "/thumbnail") == 404, form
        served = await api.gateway.get(path, headers=bruno)
        assert served.content == raw
        assert served.headers["content-type"] != "image/png", form
        assert served.headers["content-disposition"].startswith("attachment"), form
        if form != "heic":  # a picture, which browsers save
            assert (await send(api, bruno, file_id, kind="image")).status_code == 422, form
        assert (await send(api, bruno, file_id, kind="file")).status_code == 202, form
    await api.routed()
    for shown in await api.history(bruno):
        assert not shown["payload"].keys() & {"width", "height", "blurhash"}


BEGINNINGS = [
    b"GIF89a",
    b"\x89PNG\r\n\x1a\n",
    b"\xff\xd8\xff\xe0\0\x10JFIF\0",
    b"RIFF\x24\0\0\0WEBPVP8 ",
    box(b"avif", b"mif1"),
]


async def test_what_only_begins_as_a_picture_is_a_file_without_a_thumbnail(api: Api) -> None:
    """It is of that type for all who look at its first bytes, and is decoded in vain."""
    bruno = await api.sign_in("bruno")
    for beginning in BEGINNINGS:
        for rest in (SVG, pdf(), written(".tif"), bytes(5_000)):
            path = await Tus(api, bruno).upload(beginning + rest, **named("mar.png"))
            file_id = path.rpartition("/")[2]
            assert await status(api, bruno, file_id, "/thumbnail") == 404, (beginning, rest[:20])
            assert await status(api, bruno, file_id) == 200


async def test_a_bomb_is_kept_and_saved_as_any_file(api: Api) -> None:
    bruno = await api.sign_in("bruno")
    bomb = gif(LARGE, LARGE)
    path = await Tus(api, bruno).upload(bomb, **named("mar.gif", "image/gif"))
    file_id = path.rpartition("/")[2]
    assert (await send(api, bruno, file_id)).status_code == 202
    assert await status(api, bruno, file_id, "/thumbnail") == 404
    assert (await api.gateway.get(path, headers=bruno)).content == bomb
    await api.routed()
    (shown,) = await api.history(bruno)
    assert shown["payload"].keys().isdisjoint({"width", "height", "blurhash"})
