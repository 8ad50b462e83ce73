"""The chat page with much in it, in Chromium.

- A conversation of 10,000 messages: from the click until it is there; how many messages are in the
  page, how far the visible ones jump, and how memory grows, while scrolling to the first.
- 300 conversations that were open before: from the click on one until it is there.

The times are also compared with those of a bare page that shows as many plain nodes.
"""

import json
import random
import time
import urllib.request
import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chat4all.domain.ids import ConversationId, MessageId, Username
from chat4all.domain.records import MessageRecord
from chat4all.domain.times import format_milliseconds

from .browser import chromium
from .figures import Figure, percentiles
from .filling import FIRST_MS, append, fill_directory, set_passwords
from .history_floor import PAGE
from .page_scripts import FLOOR, NODES, OPEN, SCROLL
from .quiet import Rounds, Say, quiet_rounds
from .running import HEALTH, BenchmarkFailed, free_ports, process, product
from .workload import SEED

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

MESSAGES = 10_000
CONVERSATIONS = 300
IN_EACH = 12
IN_A_ROW = 4
"""Messages of one of the two until the other one has something to say."""

EVERY_MS = 60_000
FULL = 0.9
"""Where memory is looked at first: by then the page has as many messages as it will have."""

STORED_SECONDS = 60.0
PATIENCE_MS = 300_000
SIZE = 1280, 900
WINDOW = 200
"""Messages that the page may have at once."""

READER, WRITER = Username("reader"), Username("writer")
PASSWORD = "a long password"
LONG = ConversationId(str(uuid.UUID(int=1)))

Values = Mapping[str, Any]


def measure(
    folder: Path,
    rounds: int,
    say: Say,
    *,
    messages: int = MESSAGES,
    conversations: int = CONVERSATIONS,
) -> Rounds:
    """Run, with so many messages in the long conversation, and so many others."""
    data, (port, metadata_port) = folder / "page", free_ports(2)
    command = product(data, port, metadata_port, "--no-demo")
    with chromium() as browser:
        with process(command, port, *HEALTH):
            pass
        chats = [ConversationId(str(uuid.UUID(int=2 + n))) for n in range(conversations)]
        token, _ = fill_directory(
            data, [READER, WRITER], {chat: [READER, WRITER] for chat in [LONG, *chats]}
        )
        set_passwords(data, PASSWORD)
        append(data / "log.db", said([*[LONG] * messages, *chats * IN_EACH]))
        with process(command, port, *HEALTH):
            _until_stored(port, token, chats[-1])
            return quiet_rounds(
                lambda: one_round(browser, f"http://127.0.0.1:{port}", token, chats, messages, say),
                rounds,
                say,
            )


def one_round(
    browser: "Browser",
    origin: str,
    token: str,
    chats: Sequence[ConversationId],
    messages: int,
    say: Say,
) -> Values:
    """Measure floor and product in a fresh browser context."""
    width, height = SIZE
    context = browser.new_context(viewport={"width": width, "height": height}, locale="en-US")
    # The policy of an answer that is not the page forbids what the floor's script does.
    other = browser.new_context(viewport={"width": width, "height": height}, bypass_csp=True)
    try:
        page, bare = context.new_page(), other.new_page()
        page.set_default_timeout(PATIENCE_MS)
        _sign_in(page, origin, len(chats) + 1)
        opened = page.evaluate(OPEN, [LONG, text(messages)])
        nodes = page.evaluate(NODES)
        newest = f"/v1/conversations/{LONG}/messages?limit={PAGE}"
        bare.goto(origin + HEALTH[0])
        at_floor = bare.evaluate(FLOOR, [[], nodes, newest, token])
        say(f"{messages:,} messages open in {opened:.0f} ms, {nodes} nodes in {at_floor:.0f} ms")

        first = page.evaluate(SCROLL, [round(FULL * messages)])
        full = heap_mb(page)
        rest = page.evaluate(SCROLL, [1])
        scrolled = {name: max(first[name], rest[name]) for name in ("messages", "jump_px")}
        heap = {"full": full, "first": heap_mb(page)}
        say(
            f"scrolled through {first['screens'] + rest['screens']} screens: at most "
            f"{scrolled['messages']} messages, {scrolled['jump_px']:.1f} px, "
            f"{heap['full']:.1f} and {heap['first']:.1f} MB"
        )

        def switch() -> list[float]:
            return [
                page.evaluate(OPEN, [chat, text(n)])
                for n, chat in enumerate(chats, messages + 1 + len(chats) * (IN_EACH - 1))
            ]

        switch()
        switched = percentiles(switch())
        nodes = page.evaluate(NODES)
        kept = [{"content": text(n)} for n in range(IN_EACH)]
        plainly = percentiles([bare.evaluate(FLOOR, [kept, nodes, "", ""]) for _ in chats])
        say(f"switching: p50 {switched['p50']:.0f} ms, p95 {switched['p95']:.0f} ms")
    finally:
        context.close()
        other.close()
    return {
        "messages": messages,
        "conversations": len(chats),
        "open_ms": opened,
        "open_floor_ms": at_floor,
        "scrolled": scrolled,
        "heap_mb": heap,
        "switch": switched,
        "switch_floor": plainly,
    }


def figures(rounds: Rounds) -> list[Figure]:
    """Compare with the bars; of what may never be more, the worst round counts."""
    middle = rounds.medians
    opened, at_floor = middle["open_ms"], middle["open_floor_ms"]
    switched, plainly = middle["switch"], middle["switch_floor"]
    heap = middle["heap_mb"]
    scrolled = [one.values["scrolled"] for one in rounds.kept]
    long = f"{middle['messages']:,.0f} messages"
    many = f"{middle['conversations']:,.0f} conversations"
    return [
        Figure("page_open_ms", f"The page opens {long}", opened, 1_000.0, False, "ms"),
        Figure(
            "page_open_to_floor",
            "The same, to a bare page",
            opened / at_floor,
            10.0,
            False,
            ours=opened,
            theirs=at_floor,
            of="ms",
        ),
        Figure(
            "page_messages",
            f"Messages at once while {long} are scrolled",
            max(one["messages"] for one in scrolled),
            WINDOW,
            False,
            "messages",
        ),
        Figure(
            "page_jump_px",
            "Largest jump meanwhile of what is in sight",
            max(one["jump_px"] for one in scrolled),
            1.0,
            False,
            "px",
        ),
        Figure(
            "page_memory",
            "Memory of scripts then, to that after a tenth of the way",
            heap["first"] / heap["full"],
            1.2,
            False,
            ours=heap["first"],
            theirs=heap["full"],
            of="MB",
        ),
        Figure(
            "page_switch_ms",
            f"p95 of switching among {many}",
            switched["p95"],
            100.0,
            False,
            "ms",
        ),
        Figure(
            "page_switch_to_floor",
            "p50 of switching, to a bare page",
            switched["p50"] / plainly["p50"],
            4.0,
            False,
            ours=switched["p50"],
            theirs=plainly["p50"],
            of="ms",
        ),
    ]


def text(number: int) -> str:
    """Return what the message with this number in the log says."""
    return f"{number}:{' so much to say' * (number % 5 + 1)}"


def said(chats: Sequence[ConversationId]) -> Iterator[tuple[MessageRecord, int]]:
    """Yield a message into each of these, and when it was appended.

    The two take turns; the reader has the last word everywhere, so that nothing is unread.
    """
    chance = random.Random(SEED)
    last = {chat: number for number, chat in enumerate(chats, 1)}
    for number, chat in enumerate(chats, 1):
        ms = FIRST_MS + EVERY_MS * number
        record = MessageRecord(
            conversation_id=chat,
            message_id=MessageId(str(uuid.UUID(int=chance.getrandbits(128), version=4))),
            sender_id=READER if number // IN_A_ROW % 2 or number == last[chat] else WRITER,
            content=text(number),
            created_at=format_milliseconds(ms),
            fresh=True,
        )
        yield record, ms


def heap_mb(page: "Page") -> float:
    """Return how much memory scripts have in use, without what is no longer needed."""
    session = page.context.new_cdp_session(page)
    session.send("HeapProfiler.collectGarbage")
    used = session.send("Runtime.getHeapUsage")["usedSize"]
    session.detach()
    return float(used) / 1e6


def _sign_in(page: "Page", origin: str, conversations: int) -> None:
    """Return when all conversations are listed."""
    page.goto(origin)
    page.get_by_role("textbox", name="Username").fill(READER)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    listed = """(count) => document.querySelectorAll('a[href^="#/c/"]').length === count"""
    page.wait_for_function(listed, arg=conversations)
    page.wait_for_load_state("networkidle")


def _until_stored(port: int, token: str, chat: ConversationId) -> None:
    """Return when the last message of the log can be read."""
    url = f"http://127.0.0.1:{port}/v1/conversations/{chat}/messages?limit={PAGE}"
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"})
    deadline = time.monotonic() + STORED_SECONDS
    while True:
        with urllib.request.urlopen(request, timeout=10) as answer:
            if len(json.load(answer)) == IN_EACH:
                return
        if time.monotonic() > deadline:
            raise BenchmarkFailed(f"the messages were not stored within {STORED_SECONDS:g} s")
        time.sleep(0.1)
