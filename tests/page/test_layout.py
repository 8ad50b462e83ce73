"""What stands where on screens between a phone's and a desk's, and on larger ones."""

from typing import Any

import pytest
from playwright.sync_api import expect

from tests.faults.running import until
from tests.page.browsing import Desk, Window
from tests.page.conftest import PASSWORD, Server

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

TABLET, LARGE = (768, 1024), (1440, 900)

LONG = "wordsthatnobodywouldbreak" * 12
TITLE = "A group of people with quite a long title that fits into no list and no header"

AREAS = {
    "list": ".side",
    "conversation": ".conversation",
    "header": ".conversation > header",
    "history": "#scroll",
    "composer": ".composer",
}

_AREA = """(it) => {
  const { left, top, right, bottom } = it.getBoundingClientRect();
  return { left, top, right, bottom };
}"""

# The body hides what is too wide for it: each element is asked. What a parent cuts off or scrolls
# inside of itself is fine; what is 1 px wide is for screen readers.
_TOO_WIDE = """() => {
  const found = [];
  const root = document.documentElement;
  if (root.scrollWidth > innerWidth) found.push(`the page has ${root.scrollWidth} px`);
  for (const it of document.body.querySelectorAll("*")) {
    const { left, right, width } = it.getBoundingClientRect();
    const name = `${it.tagName} ${it.getAttribute("class")}`;
    if (width > 1 && (right > innerWidth + 0.5 || left < -0.5)) found.push(`${name} is outside`);
    const scrolls = ["auto", "scroll"].includes(getComputedStyle(it).overflowX);
    if (scrolls && it.scrollWidth > it.clientWidth) found.push(`${name} scrolls to the side`);
  }
  const pen = new OffscreenCanvas(1, 1).getContext("2d");
  for (const it of document.querySelectorAll("input[placeholder]")) {
    const { font, textOverflow, paddingLeft, paddingRight } = getComputedStyle(it);
    pen.font = font;
    const room = it.clientWidth - parseFloat(paddingLeft) - parseFloat(paddingRight);
    const fits = pen.measureText(it.placeholder).width <= room;
    if (!fits && textOverflow !== "ellipsis") found.push(`"${it.placeholder}" is cut off`);
  }
  return found;
}"""

# A control that is covered, or beyond an edge, is not what is found at its middle.
_COVERED = """(within) => {
  const found = [];
  const controls = "a, button, input, textarea, select";
  for (const it of document.querySelectorAll(within)) {
    for (const one of it.querySelectorAll(controls)) {
      if (one.closest("#scroll")) continue; // what is scrolled away is covered
      if (!one.checkVisibility({ visibilityProperty: true, opacityProperty: true })) continue;
      const { left, top, width, height } = one.getBoundingClientRect();
      if (width <= 1 || height <= 1) continue;
      const at = document.elementFromPoint(left + width / 2, top + height / 2);
      if (!at || !(one.contains(at) || at.closest("label")?.contains(one))) {
        found.push(`${one.outerHTML.slice(0, 120)} is under ${at?.outerHTML.slice(0, 80)}`);
      }
    }
  }
  return found;
}"""


def areas(window: Window, *more: str) -> dict[str, Any]:
    """Return the edges of what there is to see, by name."""
    wanted = AREAS | {name: f".{name}" for name in more}
    return {name: window.page.locator(one).evaluate(_AREA) for name, one in wanted.items()}


def check_nothing_is_in_the_way(window: Window, within: str = ".side, .conversation") -> None:
    assert window.page.evaluate(_TOO_WIDE) == []
    assert window.page.evaluate(_COVERED, within) == []


@pytest.mark.parametrize("size", [TABLET, LARGE])
def test_list_and_conversation_are_side_by_side(
    desk: Desk, server: Server, size: tuple[int, int]
) -> None:
    width, height = size
    name = f"zoe{width}"
    (token,) = server.sign_up(name)
    chat = server.group(token, TITLE, "ana")
    server.say(token, chat, *(f"number {n}" for n in range(1, 31)), LONG)
    server.say(server.token("ana"), chat, LONG)
    until(lambda: len(server.history(token, chat)) == 32)
    zoe = desk.window(size=size).open()
    expect(zoe.page.locator("#username")).to_be_visible()
    check_nothing_is_in_the_way(zoe, "#page")
    zoe.sign_in(name, PASSWORD)
    expect(zoe.conversation(TITLE)).to_be_visible()
    check_nothing_is_in_the_way(zoe, "#page")
    zoe.enter(TITLE)
    zoe.message("number 30").first.wait_for()
    zoe.box.fill("a line\n" * 40)  # it grows so far, and then scrolls
    zoe.picture(f"layout-{width}")
    seen = areas(zoe)
    assert (seen["list"]["left"], seen["conversation"]["right"]) == (0, width)
    assert seen["list"]["right"] == pytest.approx(seen["conversation"]["left"], abs=1)
    for area in ("list", "conversation"):
        assert (seen[area]["top"], seen[area]["bottom"]) == (0, height)
    # From top to bottom, none over another.
    assert seen["header"]["bottom"] <= seen["history"]["top"]
    assert seen["history"]["bottom"] - seen["history"]["top"] > height / 3
    assert seen["history"]["bottom"] <= seen["composer"]["top"]
    assert seen["composer"]["bottom"] <= height
    expect(zoe.page.locator(".back")).to_be_hidden()
    check_nothing_is_in_the_way(zoe)


@pytest.mark.parametrize(("size", "is_beside"), [(TABLET, False), (LARGE, True)])
def test_details_are_beside_the_conversation_where_there_is_room(
    desk: Desk, size: tuple[int, int], is_beside: bool
) -> None:
    width, height = size
    bruno = desk.person("bruno", size=size).enter("Demonstration")
    bruno.page.locator(".details-button").click()
    expect(bruno.page.locator(".details .person").first).to_be_visible()
    bruno.picture(f"layout-details-{width}")
    seen = areas(bruno, "details")
    assert (seen["details"]["right"], seen["details"]["bottom"]) == (width, height)
    covered = seen["conversation"]["right"] - seen["details"]["left"]
    assert (covered <= 0) == is_beside
    assert seen["list"]["right"] <= seen["details"]["left"]
    parts = ".side, .details" + (", .conversation" if is_beside else "")
    check_nothing_is_in_the_way(bruno, parts)
    bruno.page.locator(".details header button").first.click()
    expect(bruno.page.locator(".details")).to_be_hidden()
    check_nothing_is_in_the_way(bruno)
