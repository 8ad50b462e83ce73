"""People in browsers: what they do on the page of a running server."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Locator,
    Page,
    Request,
    expect,
)

PICTURES = Path("build/page")
"""Screenshots of the last run of the tests."""

DESK, PHONE = (1280, 800), (360, 740)

_WORDS = {
    "en-US": ("Username", "Password", "Sign in", "Message", "Send"),
    "pt-BR": ("Usuário", "Senha", "Entrar", "Mensagem", "Enviar"),
}
PATIENCE_MS = 30_000
expect.set_options(timeout=PATIENCE_MS)


class Window:
    """One tab, with what somebody does there. What goes wrong in it is in `troubles`."""

    def __init__(self, page: Page, origin: str, language: str, troubles: list[str]) -> None:
        self.page = page
        self._origin = origin
        self._words = _WORDS[language]
        self._troubles = troubles
        page.set_default_timeout(PATIENCE_MS)
        page.on("console", self._heard)
        page.on("pageerror", lambda error: troubles.append(str(error.stack)))
        page.on("request", self._asked)
        page.on("websocket", lambda socket: self._same_origin(socket.url))

    def open(self, path: str = "/") -> "Window":
        # What is done next waits for what it needs; two people's pages load at once.
        self.page.goto(self._origin + path, wait_until="commit")
        return self

    def sign_in(self, username: str, password: str = "test") -> "Window":
        user, secret, button, _, _ = self._words
        self.page.get_by_role("textbox", name=user).fill(username)
        self.page.get_by_label(secret).fill(password)
        self.page.get_by_role("button", name=button).click()
        return self

    def conversation(self, title: str) -> Locator:
        return self.page.get_by_role("link", name=title, exact=True)

    def enter(self, title: str) -> "Window":
        self.conversation(title).click()
        self.box.wait_for()
        return self

    @property
    def box(self) -> Locator:
        return self.page.get_by_role("textbox", name=self._words[3])

    def send(self, text: str) -> Locator:
        """Send a message; return it as it stands in the history."""
        self.box.fill(text)
        self.page.get_by_role("button", name=self._words[4]).click()
        return self.message(text)

    def message(self, text: str) -> Locator:
        return self.page.get_by_role("listitem").filter(
            has=self.page.locator(".text").get_by_text(text, exact=True)
        )

    def act(self, text: str, action: str) -> None:
        """Do something with a message by its button."""
        message = self.message(text)
        message.hover()
        message.get_by_role("button", name=action, exact=True).click()

    def picture(self, name: str) -> None:
        PICTURES.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=PICTURES / f"{name}.png")

    def _heard(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self._troubles.append(message.text)

    def _asked(self, request: Request) -> None:
        self._same_origin(request.url)

    def _same_origin(self, url: str) -> None:
        if urlsplit(url).netloc != urlsplit(self._origin).netloc:
            self._troubles.append(f"it asked {url}")


class Desk:
    """Windows of one server, and the troubles of all of them."""

    def __init__(self, browser: Browser, origin: str) -> None:
        self._browser = browser
        self.origin = origin
        self.troubles: list[str] = []
        self._contexts: list[BrowserContext] = []

    def profile(
        self, language: str = "en-US", size: tuple[int, int] = DESK, **options: Any
    ) -> BrowserContext:
        """Return a browser of its own: nothing is shared with the others."""
        width, height = size
        context = self._browser.new_context(
            viewport={"width": width, "height": height}, locale=language, **options
        )
        self._contexts.append(context)
        return context

    def window(
        self, profile: BrowserContext | None = None, language: str = "en-US", **options: Any
    ) -> Window:
        """Return a tab, of a new profile unless one is given."""
        context = profile or self.profile(language, **options)
        return Window(context.new_page(), self.origin, language, self.troubles)

    def person(self, username: str, password: str = "test", **options: Any) -> Window:
        """Return the tab of somebody who has just signed in."""
        return self.window(**options).open().sign_in(username, password)

    def forgive(self, pattern: str) -> None:
        """Leave out troubles that a test brings about."""
        self.troubles[:] = [one for one in self.troubles if not re.search(pattern, one)]

    def close(self) -> None:
        for context in self._contexts:
            context.close()


def in_order(texts: Sequence[str], wanted: Sequence[str]) -> bool:
    """Say whether these texts are there, each once and in this order."""
    return [text for text in texts if text in wanted] == list(wanted)
