"""The JavaScript client in a browser: what IndexedDB and Web Locks keep between tabs."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page, Request, Route, sync_playwright

from tests.faults.running import CHAT, Running
from tests.javascript.node import MODULE

pytestmark = pytest.mark.slow

CHROMIUM = "/usr/bin/chromium"
# A document that a test makes up is not taken for one of this machine.
OPTIONS = ["--headless", "--disable-gpu", "--disable-features=LocalNetworkAccessChecks"]
MESSAGES = "**/v1/messages"

# Tokens are where every tab of the origin finds them.
BEGIN = """
async () => {
  const { Client, indexedDBStorage } = await import("/chat4all.js");
  const load = () => JSON.parse(localStorage.tokens ?? "null");
  const save = (tokens) => void (localStorage.tokens = JSON.stringify(tokens));
  const storage = indexedDBStorage();
  window.chat = new Client(location.origin, { tokens: { load, save }, storage, pace: 0.1 });
  window.told = [];
  for (const type of ["Connected", "MessageCreated", "OutboxChanged"]) {
    chat.addEventListener(type, ({ detail }) => {
      told.push(detail.message?.content ?? detail.unsent?.state ?? type);
    });
  }
  if (!(await chat.signedIn())) await chat.signIn("bruno", "test");
  await chat.connect();
}
"""
SEND = """
async ([conversation, contents]) => {
  for (const content of contents) chat.send(conversation, content).catch(() => {});
  const { keys } = (await import("/chat4all.js")).indexedDBStorage();
  while ((await keys("")).filter((key) => key.includes("unsent")).length < contents.length) {
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  return chat.outbox.map(({ message_id }) => message_id);
}
"""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    found = Running(tmp_path_factory.mktemp("browser")).start()
    yield found
    found.kill()


@contextmanager
def context_on(running: Running, profile: Path) -> Iterator[BrowserContext]:
    with sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            profile, executable_path=CHROMIUM, args=OPTIONS, chromium_sandbox=False
        )
        try:
            script = MODULE.read_text()
            context.route(
                "**/blank", lambda route: route.fulfill(body="", content_type="text/html")
            )
            context.route(
                "**/chat4all.js",
                lambda route: route.fulfill(body=script, content_type="text/javascript"),
            )
            yield context
        finally:
            context.close()


def tab_of(context: BrowserContext, running: Running) -> Page:
    tab = context.new_page()
    tab.goto(f"{running.gateway}/blank")
    tab.evaluate(BEGIN)
    return tab


def refuse(route: Route) -> None:
    route.abort()


def ids_of(running: Running) -> list[str]:
    return [one["message_id"] for one in running.history(running.token("ana"))]


def test_what_was_not_sent_is_sent_once_by_two_tabs_after_a_reload(
    running: Running, tmp_path: Path
) -> None:
    with context_on(running, tmp_path) as context:
        context.route(MESSAGES, refuse)
        first = tab_of(context, running)
        ids = first.evaluate(SEND, [CHAT, ["one", "two", "three"]])
        tries: list[str] = []

        def note(request: Request) -> None:
            if request.method == "POST" and request.url.endswith("/v1/messages"):
                body = request.post_data_json
                assert body
                tries.append(body["message_id"])

        context.on("requestfinished", note)
        first.reload()
        second = tab_of(context, running)
        first.evaluate(BEGIN)
        # Positions are in the storage that both share: who connects later is not told again.
        for tab in (first, second):
            tab.wait_for_function("told.includes('Connected')")
        context.unroute(MESSAGES, refuse)
        for tab in (first, second):
            tab.wait_for_function("['one', 'two', 'three'].every((one) => told.includes(one))")
            tab.wait_for_function("chat.outbox.length === 0")
            told = [one for one in tab.evaluate("told") if one in {"one", "two", "three"}]
            assert told == ["one", "two", "three"]
    assert ids_of(running) == ids
    assert tries == ids


def test_another_tab_sends_what_a_closed_one_has_left(running: Running, tmp_path: Path) -> None:
    before = ids_of(running)
    with context_on(running, tmp_path) as context:
        first, second = tab_of(context, running), tab_of(context, running)
        first.route(MESSAGES, refuse)
        ids = first.evaluate(SEND, [CHAT, ["left"]])
        assert second.evaluate("chat.outbox") == []
        first.close()
        second.wait_for_function("told.includes('left')")
        second.wait_for_function("chat.outbox.length === 0")
        assert second.evaluate("told").count("left") == 1
    assert ids_of(running) == before + ids


def test_positions_outlast_the_browser(running: Running, tmp_path: Path) -> None:
    with context_on(running, tmp_path) as context:
        tab = tab_of(context, running)
        tab.evaluate("(conversation) => chat.send(conversation, 'seen')", CHAT)
        tab.wait_for_function("told.includes('seen')")
        tab.wait_for_function("chat.close().then(() => true)")
    with context_on(running, tmp_path) as context:
        tab = tab_of(context, running)
        tab.evaluate("(conversation) => chat.send(conversation, 'unseen')", CHAT)
        tab.wait_for_function("told.includes('unseen')")
        told = [one for one in tab.evaluate("told") if one in {"seen", "unseen"}]
        assert told == ["unseen"]


COUNT = """
async (times) => {
  const { update, get } = (await import("/chat4all.js")).indexedDBStorage();
  const one = () => update("count", (kept) => (kept ?? 0) + 1);
  await Promise.all(Array.from({ length: times }, one));
  return get("count");
}
"""


def test_what_two_tabs_change_at_once_is_changed_by_both(running: Running, tmp_path: Path) -> None:
    with context_on(running, tmp_path) as context:
        tabs = [context.new_page(), context.new_page()]
        for tab in tabs:
            tab.goto(f"{running.gateway}/blank")
            tab.evaluate(f"window.count = {COUNT}")
        for tab in tabs:
            tab.evaluate("void (window.counting = window.count(200))")
        assert max(tab.evaluate("window.counting") for tab in tabs) == 400
