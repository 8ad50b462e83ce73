"""Files on the page: sent by one, seen and saved by the other."""

import base64
import os
import re
import wave
from pathlib import Path

import pytest
from playwright.sync_api import APIResponse, JSHandle, Locator, Request, Response, Route, expect

from tests.page.browsing import Desk, Window
from tests.page.checking import check
from tests.page.conftest import PASSWORD, Server
from tests.pictures import png

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

FAILED_REQUESTS = r"Failed to load resource|WebSocket connection to"


GIVEN = """([name, type, base64]) => {
  const given = new DataTransfer();
  const bytes = Uint8Array.from(atob(base64), (one) => one.charCodeAt(0));
  given.items.add(new File([bytes], name, { type, lastModified: 1 }));
  return given;
}"""


def given(window: Window, name: str, media_type: str, content: bytes) -> JSHandle:
    """Return what a drop or a paste brings."""
    encoded = base64.b64encode(content).decode()
    return window.page.evaluate_handle(GIVEN, [name, media_type, encoded])


def drop(window: Window, name: str, media_type: str, content: bytes) -> None:
    transfer = {"dataTransfer": given(window, name, media_type, content)}
    window.page.get_by_role("region", name="History").dispatch_event("drop", transfer)


def choose(window: Window, path: Path, button: str = "Attach a file") -> None:
    with window.page.expect_file_chooser() as chosen:
        window.page.get_by_role("button", name=button, exact=True).click()
    chosen.value.set_files(path)


def is_loaded(picture: Locator) -> None:
    expect(picture).to_have_js_property("complete", True)
    assert picture.evaluate("it => it.decode().then(() => it.naturalWidth)") > 0


def test_a_picture_is_dropped_and_seen_opened_and_saved_by_the_other(
    desk: Desk, server: Server
) -> None:
    (token,) = server.sign_up("paula")
    server.private(token, "ana")
    picture = png(600, 400)
    paula = desk.person("paula", PASSWORD).enter("ana")
    ana = desk.person("ana", language="pt-BR").enter("paula")
    drop(paula, "praia.png", "image/png", picture)
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
    assert Path(downloading.value.path()).read_bytes() == picture
    ana.page.keyboard.press("Escape")
    expect(viewer).to_have_count(0)
    expect(opener).to_be_focused()


def test_a_picture_that_the_server_has_no_time_for_is_asked_for_again(
    desk: Desk, server: Server
) -> None:
    """A page of new pictures may be more than are made smaller in time."""
    (token,) = server.sign_up("petra")
    server.private(token, "ana")
    petra = desk.person("petra", PASSWORD).enter("ana")
    ana = desk.person("ana").enter("petra")
    refused = list[str]()

    def refuse(route: Route) -> None:
        if len(refused) < 2:
            refused.append(route.request.url)
            route.fulfill(status=503, headers={"Retry-After": "1"})
        else:
            route.continue_()

    ana.page.route(re.compile("/thumbnail"), refuse)
    drop(petra, "mar.png", "image/png", png(90, 60))
    is_loaded(ana.page.get_by_alt_text("mar.png"))
    assert len(refused) == 2
    desk.forgive(r"Failed to load resource.*503")


def save(window: Window, name: str) -> bytes:
    with window.page.expect_download() as downloading:
        window.page.get_by_role("button", name=f"Download {name}").click()
    return Path(downloading.value.path()).read_bytes()


def is_acknowledged(response: Response) -> bool:
    return response.request.method == "PATCH" and response.status == 204


def is_cut(request: Request) -> bool:
    """Whether the line has broken it, and not the page, by a pause."""
    return request.failure == "net::ERR_INTERNET_DISCONNECTED"


class Line:
    """A proxy that breaks the connection before the third request that adds to an upload."""

    def __init__(self, window: Window) -> None:
        self.is_broken = False
        self.is_mended = False
        self.acknowledged = 0
        self.begun = 0
        self.added = 0
        self.repeated: list[int] = []
        window.page.on("response", self._answered)
        window.page.route(re.compile("/v1/files"), self._pass)

    def _answered(self, response: Response) -> None:
        is_post = response.request.method == "POST" and response.url.endswith("/v1/files")
        self.begun += is_post and response.status == 201
        if is_acknowledged(response):
            self.acknowledged = int(response.headers["upload-offset"])

    def _pass(self, route: Route, request: Request) -> None:
        is_third = request.method == "PATCH" and self.added == 2
        self.is_broken = self.is_broken or (is_third and not self.is_mended)
        if self.is_broken and request.method != "DELETE":
            route.abort("internetdisconnected")
            return
        if request.method == "PATCH":
            self.added += 1
            if (offset := int(request.headers["upload-offset"])) < self.acknowledged:
                self.repeated.append(offset)
        route.continue_()

    def mend(self) -> None:
        self.is_broken, self.is_mended = False, True

    def check(self) -> None:
        """One upload, and nothing that was acknowledged was sent again."""
        assert (self.begun, self.repeated) == (1, [])
        assert self.added > 2


@pytest.fixture
def film(tmp_path: Path) -> Path:
    path = tmp_path / "film.bin"
    path.write_bytes(os.urandom(12_000_000))
    return path


def test_an_upload_goes_on_after_a_break(desk: Desk, server: Server, film: Path) -> None:
    (token,) = server.sign_up("rita")
    server.private(token, "ana")
    rita, ana = desk.person("rita", PASSWORD).enter("ana"), desk.person("ana").enter("rita")
    line = Line(rita)
    with rita.page.expect_event("requestfailed", is_cut):
        choose(rita, film)
    expect(rita.page.get_by_role("progressbar", name="Upload of film.bin")).to_be_visible()
    rita.page.context.set_offline(True)
    expect(rita.page.get_by_text("Waiting for the connection")).to_be_visible()
    rita.picture("upload-waits")
    line.mend()
    rita.page.context.set_offline(False)
    expect(ana.page.get_by_text("film.bin")).to_be_visible()
    line.check()
    expect(rita.page.get_by_role("progressbar")).to_have_count(0)
    assert save(ana, "film.bin") == film.read_bytes()
    desk.forgive(FAILED_REQUESTS)


def test_an_upload_goes_on_after_a_pause_and_a_reload(
    desk: Desk, server: Server, film: Path
) -> None:
    (token,) = server.sign_up("sara")
    server.private(token, "ana")
    sara = desk.person("sara", PASSWORD).enter("ana")
    line = Line(sara)
    # Until something is acknowledged, the page may not know of the upload that was begun.
    with sara.page.expect_response(is_acknowledged):
        choose(sara, film)
    sara.page.get_by_role("button", name="Pause film.bin").click()
    expect(sara.page.get_by_text("Paused")).to_be_visible()
    with sara.page.expect_event("requestfailed", is_cut):
        sara.page.get_by_role("button", name="Resume film.bin").click()
    sara.page.reload()
    sara.box.wait_for()
    line.mend()
    choose(sara, film)
    card = sara.page.get_by_role("button", name="Download film.bin")
    expect(card).to_be_visible()
    line.check()
    assert save(sara, "film.bin") == film.read_bytes()
    # One that is given up is gone.
    line.is_mended, line.added = False, 2
    with sara.page.expect_event("requestfailed", is_cut):
        choose(sara, film)
    with sara.page.expect_response(lambda answer: answer.request.method == "DELETE") as deleted:
        sara.page.get_by_role("button", name="Cancel film.bin").click()
    assert deleted.value.status == 204
    expect(sara.page.get_by_role("progressbar")).to_have_count(0)
    expect(card).to_have_count(1)
    desk.forgive(FAILED_REQUESTS)


class Held:
    """Keeps the answers to the next beginnings of uploads, which the server has made."""

    def __init__(self, window: Window) -> None:
        self._window = window
        self._answers: list[tuple[Route, APIResponse]] = []
        self.begun = 0
        window.page.route(re.compile("/v1/files$"), self._hold)

    def _hold(self, route: Route) -> None:
        if route.request.method != "POST":
            route.continue_()
            return
        self.begun += 1
        self._answers.append((route, route.fetch()))

    def until_made(self) -> None:
        for _ in range(1_000):
            if self._answers:
                return
            self._window.page.wait_for_timeout(10)
        raise AssertionError("no upload was begun")

    def let_go(self) -> None:
        route, answer = self._answers.pop()
        route.fulfill(response=answer)


def test_a_pause_before_the_server_has_answered_leaves_nothing_behind(
    desk: Desk, server: Server, film: Path
) -> None:
    """Fails when the page forgets what it has asked for: then it begins another one."""
    (token,) = server.sign_up("uma")
    server.private(token, "ana")
    uma = desk.person("uma", PASSWORD).enter("ana")
    held = Held(uma)
    choose(uma, film)
    held.until_made()
    uma.page.get_by_role("button", name="Pause film.bin").click()
    expect(uma.page.get_by_text("Paused")).to_be_visible()
    uma.page.get_by_role("button", name="Resume film.bin").click()
    expect(uma.page.get_by_role("button", name="Pause film.bin")).to_be_visible()
    held.let_go()
    card = uma.page.get_by_role("button", name="Download film.bin")
    expect(card).to_be_visible()
    assert held.begun == 1
    assert save(uma, "film.bin") == film.read_bytes()
    # One that is given up is deleted once the server has said where it is.
    choose(uma, film)
    held.until_made()
    uma.page.get_by_role("button", name="Cancel film.bin").click()
    expect(uma.page.get_by_role("progressbar")).to_have_count(0)
    with uma.page.expect_response(lambda answer: answer.request.method == "DELETE") as deleted:
        held.let_go()
    assert deleted.value.status == 204
    expect(card).to_have_count(1)


def test_what_is_dropped_and_pasted_is_shown_as_what_it_is(
    desk: Desk, server: Server, tmp_path: Path
) -> None:
    (token,) = server.sign_up("tina")
    server.private(token, "ana")
    tina, ana = desk.person("tina", PASSWORD).enter("ana"), desk.person("ana").enter("tina")
    sound = tmp_path / "canto.wav"
    with wave.open(str(sound), "wb") as file:
        file.setparams((1, 2, 8_000, 0, "NONE", ""))
        file.writeframes(bytes(16_000))
    files = {
        "mar.png": ("image/png", png(90, 60)),
        "canto.wav": ("audio/wav", sound.read_bytes()),
        "not a picture.png": ("image/png", b"text"),
    }
    for name, (media_type, content) in files.items():
        drop(tina, name, media_type, content)
        if name == "mar.png":
            is_loaded(ana.page.get_by_alt_text(name))
    ana.page.get_by_role("button", name="Download not a picture.png").wait_for()
    player = ana.page.get_by_label("canto.wav")
    expect(player).to_have_js_property("duration", 1)
    pasted = given(tina, "nota.txt", "text/plain", b"oi")
    tina.page.evaluate(
        "([given, it]) => it.dispatchEvent("
        "new ClipboardEvent('paste', { clipboardData: given, bubbles: true, cancelable: true }))",
        [pasted, tina.box.element_handle()],
    )
    ana.page.get_by_role("button", name="Download nota.txt").wait_for()
    assert save(ana, "nota.txt") == b"oi"
    check(ana, "files-of-all-kinds")
    ana.page.get_by_role("button", name="Open mar.png").click()
    expect(ana.page.get_by_role("dialog", name="mar.png")).to_be_visible()
    check(ana, "file-viewer")
    desk.forgive(r"Failed to load resource.*422")


RECORD = """() => new Promise((resolve) => {
  const canvas = Object.assign(document.createElement("canvas"), { width: 64, height: 36 });
  const pen = canvas.getContext("2d");
  const recorder = new MediaRecorder(canvas.captureStream(25), { mimeType: "video/webm" });
  let drawn = 0;
  const drawing = setInterval(() => {
    pen.fillStyle = `hsl(${9 * drawn} 90% 50%)`;
    pen.fillRect(0, 0, 64, 36);
    if (++drawn === 40) recorder.stop();
  }, 40);
  recorder.ondataavailable = ({ data }) => {
    clearInterval(drawing);
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result.split(",")[1]);
    reader.readAsDataURL(data);
  };
  recorder.start();
})"""


def test_a_video_is_played_in_its_place_from_where_one_likes(desk: Desk, server: Server) -> None:
    (token,) = server.sign_up("vera")
    server.private(token, "ana")
    vera, ana = desk.person("vera", PASSWORD).enter("ana"), desk.person("ana").enter("vera")
    ranges: list[str | None] = []

    def note(request: Request) -> None:
        if request.resource_type == "media":
            ranges.append(request.headers.get("range"))

    ana.page.on("request", note)
    film = base64.b64decode(vera.page.evaluate(RECORD))
    drop(vera, "onda.webm", "video/webm", film)
    player = ana.page.get_by_label("onda.webm", exact=True)
    expect(player).to_have_js_property("videoWidth", 64)
    player.evaluate("it => new Promise((done) => { it.onseeked = done; it.currentTime = 0.5; })")
    assert player.evaluate("it => it.currentTime") == 0.5
    assert not player.evaluate("it => it.error")
    assert ranges
    assert all(one and one.startswith("bytes=") for one in ranges)
