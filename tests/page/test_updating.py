"""A page that is loaded while gateways are updated: two versions behind one address."""

import shutil
import socket
import threading
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from functools import partial
from itertools import chain, cycle, repeat
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from fastapi import FastAPI
from playwright.sync_api import Browser, Page, expect
from starlette.types import ASGIApp, Receive, Scope, Send

from chat4all.gateway.page.files import STATIC, page_files
from chat4all.gateway.page.routes import POLICY, page_routes
from chat4all.http.frame import Frame
from chat4all.http.problems import install_problems
from tests.faults.running import until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]


class Unmetered:
    def answered(self, scope: Scope, status: int, seconds: float) -> None:
        """Count nothing."""


def gateway_of(version: str, parent: Path) -> ASGIApp:
    """Return the page as a gateway serves it whose modules say that they are of this version."""
    folder = parent / version
    shutil.copytree(STATIC, folder)
    for module in (*folder.glob("core/*.js"), *folder.glob("views/*.js"), folder / "main.js"):
        with module.open("a") as file:
            file.write(f'\n(globalThis.loaded ??= []).push("{version}");\n')
    with (folder / "style" / "base.css").open("a") as file:
        file.write(f"\n:root {{ --version: {version} }}\n")
    app = FastAPI()
    install_problems(app)
    routes = page_routes(
        has_demonstration=False, sign_up_open=True, files=partial(page_files, folder)
    )
    app.include_router(routes)
    return Frame(app, Unmetered(), Unmetered(), pages={"/": POLICY})


class Balancer:
    """Passes each request to the next of its gateways, and knows who has answered what."""

    def __init__(self, gateways: Mapping[str, ASGIApp]) -> None:
        self._gateways = gateways
        self.turns: Iterator[str] = repeat("old")
        """Which version has the gateway that answers next."""
        self.pages: list[str] = []
        """Which the pages had that were loaded."""
        self.refused = 0

    def begin(self, turns: Iterator[str]) -> None:
        self.turns, self.pages, self.refused = turns, [], 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        version = next(self.turns)
        if scope["path"] == "/":
            self.pages.append(version)
        await self._gateways[version](scope, receive, partial(self._send, send))

    async def _send(self, send: Send, message: MutableMapping[str, Any]) -> None:
        self.refused += message.get("status") == 404
        await send(message)


@contextmanager
def serving(app: ASGIApp) -> Iterator[str]:
    """Serve it in a thread; yields its origin."""
    config = uvicorn.Config(app, lifespan="off", log_config=None)
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=server.run, args=([listening],))
        thread.start()
        try:
            until(lambda: server.started)
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(30)


@pytest.fixture(scope="module")
def balancer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Balancer]:
    parent = tmp_path_factory.mktemp("versions")
    yield Balancer({version: gateway_of(version, parent) for version in ("old", "new")})
    page_files.cache_clear()


@pytest.fixture(scope="module")
def origin(balancer: Balancer) -> Iterator[str]:
    with serving(balancer) as found:
        yield found


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context()
    context.add_init_script("Math.random = () => 0.1")  # waits are short
    yield context.new_page()
    context.close()


WHOLE = """
() => {
  // It is loaded again as soon as a file is missing.
  if (document.readyState !== "complete" || document.querySelector("p[role=status]")) return null;
  const style = getComputedStyle(document.documentElement).getPropertyValue("--version");
  const versions = new Set([...(globalThis.loaded ?? []), style]);
  return versions.size === 1 && document.getElementById("username") && [...versions][0];
}
"""


def version_of(page: Page) -> str:
    """Return the version of everything that a page has loaded, once it is whole."""
    return str(page.wait_for_function(WHOLE, timeout=30_000).json_value())


@pytest.mark.parametrize("turns", [["old", "new"], ["new", "old", "new"], ["old", "new", "new"]])
def test_a_page_is_whole_while_two_versions_are_served(
    page: Page, balancer: Balancer, origin: str, turns: list[str]
) -> None:
    balancer.begin(cycle(turns))
    page.goto(origin)
    assert version_of(page) == balancer.pages[-1]
    assert balancer.refused > 0


def test_a_page_whose_version_has_gone_becomes_the_new_one(
    page: Page, balancer: Balancer, origin: str
) -> None:
    balancer.begin(chain(["old"], repeat("new")))
    page.goto(origin)
    assert version_of(page) == "new"
    assert balancer.pages == ["old", "new"]


def test_what_does_not_help_is_not_tried_for_ever(
    page: Page, balancer: Balancer, origin: str
) -> None:
    page.add_init_script("sessionStorage.setItem('chat4all.loads', 5)")
    balancer.begin(chain(["old"], repeat("new")))
    page.goto(origin)
    told = page.get_by_role("status").filter(has_text="could not be loaded")
    expect(told).to_be_visible()
    page.get_by_role("button", name="Try again").click()
    assert version_of(page) == "new"
    assert balancer.pages == ["old", "new"]
