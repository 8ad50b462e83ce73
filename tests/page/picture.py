"""`python -m tests.page.picture`: make docs/page.png, the README's picture, from the real page.

It needs a font with emoji (Debian: fonts-noto-color-emoji).
"""

import base64
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import quote

from playwright.sync_api import Browser, expect

from bench.browser import chromium
from tests.faults.running import call
from tests.page.browsing import Desk, Window
from tests.page.conftest import PASSWORD, Server

PICTURE = Path("docs/page.png")

NAMES = {"carla": "Carla Menezes", "diego": "Diego Souza", "ana": "Ana Beatriz"}
SAID = (
    ("diego", "Bom dia! The new gateway has been on staging since last night."),
    ("diego", "Latency at the 99th percentile went from 41 ms to 12 ms, which I did not expect."),
    ("bruno", "That is excellent. Did you change anything besides the batching?"),
    ("diego", "Nothing else. Notes: https://chat.example.com/notes/batching"),
    ("carla", "@bruno, podes mandar a lista de pendências antes do almoço?"),
    ("bruno", "Mando já. A retrospectiva fica para sexta, às 15 h."),
    ("ana", "🎉"),
)
ANSWERED = 3
"""Which of them answers the one before it."""


def main() -> None:
    """Fill a server, look at it as two people, and put the two pictures side by side."""
    with tempfile.TemporaryDirectory() as folder, chromium() as browser:
        server = Server(Path(folder))
        server.start()
        try:
            title = fill(server)
            desk = Desk(browser, server.gateway)
            shots = looked_at(desk, title)
            desk.close()
        finally:
            server.kill()
        put_together(browser, *shots)


def fill(server: Server) -> str:
    """Say something in several conversations; return the title of the one to be shown."""
    new = [name for name in NAMES if name != "ana"]
    tokens = dict(zip(new, server.sign_up(*new), strict=True))
    tokens |= {name: server.token(name) for name in ("bruno", "ana")}
    for name, shown in NAMES.items():
        url = f"{server.gateway}/v1/users/{name}"
        assert call("PATCH", url, {"display_name": shown}, tokens[name])[0] == 200
    garden = server.group(tokens["carla"], "Horta comunitária", "bruno", "ana")
    server.say(tokens["carla"], garden, "As mudas chegaram 🌱 quem pode regar no sábado?")
    lunch = server.private(tokens["diego"], "bruno")
    server.say(tokens["diego"], lunch, "Lunch at one?")
    server.say(tokens["bruno"], lunch, "See you there.")
    title = "Gateway"
    chat = server.group(tokens["bruno"], title, *NAMES)
    ids: list[str] = []
    for number, (name, content) in enumerate(SAID):
        body: dict[str, Any] = {"chat_id": chat, "content": content}
        body |= {"reply_to": ids[-1]} if number == ANSWERED else {}
        body |= {"mentions": ["bruno"]} if "@bruno" in content else {}
        status, sent = call("POST", f"{server.gateway}/v1/messages", body, tokens[name])
        assert status == 202, sent
        ids.append(sent["message_id"])
    for name, number, emoji in (("ana", 1, "🔥"), ("carla", 1, "🔥"), ("bruno", 1, "👏")):
        url = f"{server.gateway}/v1/conversations/{chat}/messages/{ids[number]}"
        assert call("PUT", f"{url}/reactions/{quote(emoji)}", token=tokens[name])[0] == 202
    server.say(tokens["ana"], server.private(tokens["ana"], "bruno"), "Viu as novidades? ✨")
    return title


def looked_at(desk: Desk, title: str) -> list[bytes]:
    """Return what bruno sees at a desk, and what carla sees on a phone."""
    bruno = desk.window(size=(1120, 760), device_scale_factor=2)
    bruno.page.add_init_script("localStorage.setItem('chat4all.second', 'seen')")
    bruno.open().sign_in("bruno").enter(title)
    carla = desk.window(
        language="pt-BR", size=(360, 760), color_scheme="dark", device_scale_factor=2
    )
    carla.open().sign_in("carla", PASSWORD).enter(title)
    desk.person("ana")
    last = bruno.message("🎉")
    expect(last).to_be_visible()
    expect(bruno.page.get_by_text("2 online")).to_be_visible()
    return [still(window) for window in (bruno, carla)]


def still(window: Window) -> bytes:
    """Return a picture without a cursor and without a pointer."""
    window.page.locator("#composer").blur()
    window.page.mouse.move(0, 0)
    return window.page.screenshot()


def put_together(browser: Browser, *shots: bytes) -> None:
    pictures = "".join(
        f'<img src="data:image/png;base64,{base64.b64encode(shot).decode()}">' for shot in shots
    )
    page = browser.new_page(viewport={"width": 1592, "height": 840})
    page.set_content(
        "<style>body { margin: 0; display: flex; gap: 32px; padding: 40px; background: #d9e5e1 }"
        "img { height: 760px; border-radius: 16px; box-shadow: 0 12px 40px #0003 }</style>"
        + pictures
    )
    page.screenshot(path=PICTURE)


if __name__ == "__main__":
    main()
