"""Files on the page: sent by one, seen and saved by the other."""

import os
import struct
import zlib
from pathlib import Path

import pytest
from playwright.sync_api import Locator, expect

from tests.page.browsing import Desk, Window
from tests.page.conftest import PASSWORD, Server

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

FAILED_REQUESTS = r"Failed to load resource|WebSocket connection to"


def png(width: int, height: int) -> bytes:
    """Return a picture of noise, which no compression makes smaller."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        whole = kind + data
        return struct.pack(">I", len(data)) + whole + struct.pack(">I", zlib.crc32(whole))

    rows = b"".join(b"\0" + os.urandom(3 * width) for _ in range(height))
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows, 1)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def choose(window: Window, path: Path, button: str = "Attach a file") -> None:
    with window.page.expect_file_chooser() as chosen:
        window.page.get_by_role("button", name=button, exact=True).click()
    chosen.value.set_files(path)


def is_loaded(picture: Locator) -> None:
    expect(picture).to_have_js_property("complete", True)
    assert picture.evaluate("it => it.decode().then(() => it.naturalWidth)") > 0


def test_a_picture_is_seen_opened_and_saved_by_the_other(
    desk: Desk, server: Server, tmp_path: Path
) -> None:
    (token,) = server.sign_up("paula")
    server.private(token, "ana")
    picture = tmp_path / "praia.png"
    picture.write_bytes(png(600, 400))
    paula = desk.person("paula", PASSWORD).enter("ana")
    ana = desk.person("ana", language="pt-BR").enter("paula")
    choose(paula, picture)
    is_loaded(ana.page.get_by_alt_text("praia.png"))
    is_loaded(paula.page.get_by_alt_text("praia.png"))
    ana.picture("file-seen")
    opener = ana.page.get_by_role("button", name="Abrir praia.png")
    opener.click()
    viewer = ana.page.get_by_role("dialog", name="praia.png")
    is_loaded(viewer.get_by_alt_text("praia.png"))
    ana.picture("file-opened")
    with ana.page.expect_download() as downloading:
        viewer.get_by_role("button", name="Baixar").click()
    assert downloading.value.suggested_filename == "praia.png"
    assert Path(downloading.value.path()).read_bytes() == picture.read_bytes()
    ana.page.keyboard.press("Escape")
    expect(viewer).to_have_count(0)
    expect(opener).to_be_focused()
