"""`python -m tests.page.measure`: how fast the page is with much in it.

A conversation of 10,000 messages: opening it, scrolling to its beginning, what stays in memory. 300
conversations: switching among those that were open before. Not a test: it depends on the machine.
"""

import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from typing import Any

from tests.faults.running import until
from tests.page.browsing import Desk, Window, chromium
from tests.page.conftest import PASSWORD, Server

MESSAGES = 10_000
CONVERSATIONS = 300
WRITERS = 8

OPEN = """([id, text]) => new Promise((done) => {
  const began = performance.now();
  document.querySelector(`a[href="#/c/${id}"]`).click();
  const look = () => {
    const last = [...document.querySelectorAll('.message .text')].at(-1);
    if (location.hash === `#/c/${id}` && last?.textContent === text)
      requestAnimationFrame(() => done(performance.now() - began));
    else requestAnimationFrame(look);
  };
  look();
})"""

SCROLL = """() => new Promise((done) => {
  const it = document.getElementById('scroll');
  const found = { nodes: 0, jump: 0, screens: 0 };
  const place = (one) => one.getBoundingClientRect().top;
  const step = () => {
    found.nodes = Math.max(found.nodes, it.querySelectorAll('.message').length);
    if (it.querySelector('[data-seq="1"]')) return done(found);
    it.scrollTop = Math.max(0, it.scrollTop - it.clientHeight);
    found.screens += 1;
    const top = place(it);
    const shown = [...it.querySelectorAll('.message')].find((one) => place(one) > top);
    const [key, at] = [shown.dataset.key, place(shown)];
    setTimeout(() => {
      const same = it.querySelector(`[data-key="${key}"]`);
      found.jump = Math.max(found.jump, same ? Math.abs(place(same) - at) : 9999);
      step();
    }, 30);
  };
  step();
})"""


def main() -> None:
    """Fill a server, measure, print."""
    with tempfile.TemporaryDirectory() as folder, chromium() as browser:
        server = Server(Path(folder))
        server.start()
        try:
            chats, long = fill(server)
            desk = Desk(browser, server.gateway)
            window = desk.person("reader", PASSWORD, size=(1280, 900))
            window.page.set_default_timeout(300_000)
            window.conversation("long").wait_for()
            window.page.wait_for_timeout(2_000)
            print(f"opens 10,000 messages: {opened(window, long, f'line {MESSAGES}'):.0f} ms")
            before = heap(window)
            found: Any = window.page.evaluate(SCROLL)
            print(f"scrolled to the first: {found['screens']} screens, at most {found['nodes']}")
            print(f"  messages in the page, the largest jump {found['jump']:.1f} px,")
            print(f"  memory {before:.1f} MB before, {heap(window):.1f} MB after")
            for chat, text in chats:
                opened(window, chat, text)
            again = sorted(opened(window, chat, text) for chat, text in chats)
            print(f"switching among {len(chats)}: median {median(again):.0f} ms,", end=" ")
            print(f"95 % within {again[len(again) * 95 // 100]:.0f} ms; {heap(window):.1f} MB")
            desk.close()
        finally:
            server.kill()


def fill(server: Server) -> tuple[Sequence[tuple[str, str]], str]:
    """Return the conversations, each with its last text, and the long one."""
    reader, writer = server.sign_up("reader", "writer")
    long = server.group(writer, "long", "reader")
    server.say(writer, long, *(f"line {n}" for n in range(1, MESSAGES + 1)))

    def make(number: int) -> tuple[str, str]:
        chat = server.group(writer, f"group {number}", "reader")
        texts = [f"{number}: {'so much to say ' * (n % 5 + 1)}{n}" for n in range(12)]
        server.say(writer, chat, *texts)
        return chat, texts[-1]

    with ThreadPoolExecutor(WRITERS) as pool:
        chats = list(pool.map(make, range(CONVERSATIONS)))
    until(lambda: len(server.history(reader, long)) == MESSAGES, 120)
    server.say(reader, long, f"line {MESSAGES}")  # all before it is read
    return chats, long


def opened(window: Window, chat: str, text: str) -> float:
    """Return the milliseconds from the click until the last message is there."""
    return float(window.page.evaluate(OPEN, [chat, text]))


def heap(window: Window) -> float:
    """Return the megabytes of scripts' memory that are in use."""
    session = window.page.context.new_cdp_session(window.page)
    session.send("HeapProfiler.collectGarbage")
    used: Any = session.send("Runtime.getHeapUsage")
    session.detach()
    return float(used["usedSize"]) / 1e6


if __name__ == "__main__":
    main()
