"""Long histories, languages, keys, and what a page may not do."""

import re
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.faults.running import until
from tests.page.browsing import DESK, PHONE, Desk, Window
from tests.page.checking import check
from tests.page.conftest import PASSWORD, Server

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


def scroll(window: Window, script: str) -> Any:
    """Return what a script says; `it` is what scrolls."""
    found = "const it = document.getElementById('scroll');"
    return window.page.evaluate(f"(() => {{ {found} {script} }})()")


def test_a_long_history_is_read_without_a_jump(desk: Desk, server: Server) -> None:
    (token,) = server.sign_up("hugo")
    chat = server.private(token, "bruno")
    total = 420
    server.say(token, chat, *(f"number {n}" for n in range(1, total + 1)))
    until(lambda: len(server.history(token, chat)) == total)
    hugo = desk.person("hugo", PASSWORD).enter("bruno")
    expect(hugo.message(f"number {total}")).to_be_in_viewport()
    rows = hugo.page.locator("#scroll li.message")
    most = 0
    for _ in range(40):
        # What is in sight stays where it is while older ones come above it.
        jump = scroll(
            hugo,
            """
            it.scrollTop = Math.max(0, it.scrollTop - 1500);
            const top = it.getBoundingClientRect().top;
            const place = (one) => one.getBoundingClientRect().top;
            const shown = [...it.querySelectorAll('.message')].find((one) => place(one) > top);
            const [key, at] = [shown.dataset.key, place(shown)];
            return new Promise((done) => setTimeout(() => {
              const same = it.querySelector(`[data-key="${key}"]`);
              done(same ? place(same) - at : 9999);
            }, 150));
            """,
        )
        assert abs(jump) <= 1, jump
        most = max(most, rows.count())
        if hugo.message("number 1").count():
            break
    expect(hugo.message("number 1")).to_have_count(1)
    assert 150 <= most <= 200
    # One who reads at the beginning stays there when something comes, and is told.
    at = scroll(hugo, "return it.scrollTop")
    bruno = server.token("bruno")
    server.say(bruno, chat, "are you there?")
    expect(hugo.page).to_have_title("(1) Chat4All")
    assert scroll(hugo, "return it.scrollTop") == at
    hugo.page.get_by_role("button", name="1 new").click()
    expect(hugo.message("are you there?")).to_be_in_viewport()
    expect(hugo.page).to_have_title("Chat4All")
    assert rows.count() <= 200


def test_it_opens_at_the_first_that_is_unread(desk: Desk, server: Server) -> None:
    (token,) = server.sign_up("ines")
    chat = server.private(token, "bruno")
    bruno = server.token("bruno")
    server.say(token, chat, "hello")
    server.say(bruno, chat, *(f"news {n}" for n in range(1, 91)))
    until(lambda: len(server.history(token, chat)) == 91)
    ines = desk.person("ines", PASSWORD)
    expect(ines.page).to_have_title("(90) Chat4All")
    ines.enter("bruno")
    expect(ines.page.get_by_text("New", exact=True)).to_be_in_viewport()
    expect(ines.message("news 1")).to_be_in_viewport()
    expect(ines.message("news 90")).to_have_count(0)
    ines.page.get_by_role("button", name=re.compile(r"\d+ new|Newest")).click()
    expect(ines.message("news 90")).to_be_in_viewport()
    expect(ines.page).to_have_title("Chat4All")


def test_what_is_kept_is_shown_at_once(desk: Desk, server: Server) -> None:
    token, _ = server.sign_up("jane", "jack")
    for other in ("jack", "bruno"):
        server.say(token, server.private(token, other), f"for {other}")
    jane = desk.person("jane", PASSWORD)
    for other in ("jack", "bruno"):
        jane.enter(other)
        expect(jane.message(f"for {other}")).to_be_visible()
    # From here on the server says nothing.
    jane.page.context.route("**/messages?*", lambda route: None)
    jane.conversation("jack").click()
    expect(jane.message("for jack")).to_be_visible()
    jane.page.context.unroute_all(behavior="ignoreErrors")


def test_both_languages_and_the_switch(desk: Desk) -> None:
    brazil = desk.window(language="pt-BR").open()
    expect(brazil.page.locator("html")).to_have_attribute("lang", "pt-BR")
    brazil.picture("sign-in-pt")
    brazil.page.get_by_role("button", name="English").click()
    expect(brazil.page.get_by_role("textbox", name="Username")).to_be_visible()
    brazil.page.reload()
    expect(brazil.page.get_by_role("button", name="Sign in")).to_be_visible()
    # Neither of the two: English.
    german = desk.profile("de-DE").new_page()
    german.goto(desk.origin)
    expect(german.get_by_role("button", name="Sign in")).to_be_visible()


def test_somebody_signs_up_and_finds_a_person(desk: Desk) -> None:
    window = desk.window().open()
    page = window.page
    page.get_by_role("button", name="Create account").click()
    page.get_by_role("textbox", name="Username").fill("bruno")
    page.get_by_role("textbox", name="E-mail").fill("lena@example.com")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Create account").click()
    expect(page.get_by_role("alert")).not_to_be_empty()  # the name is taken
    page.get_by_role("textbox", name="Username").fill("lena")
    page.get_by_role("button", name="Create account").click()
    page.get_by_role("searchbox", name="Search people and conversations").fill("an")
    page.get_by_role("button", name="@ana").click()
    expect(window.send("nice to meet you")).to_be_visible()
    expect(window.conversation("ana")).to_be_visible()
    desk.forgive("status of 409")


def test_a_wrong_password_is_said(desk: Desk) -> None:
    window = desk.person("bruno", "not it")
    expect(window.page.get_by_role("alert")).to_have_text("Wrong username or password.")
    desk.forgive("status of 401")


def test_demonstration_accounts_side_by_side(desk: Desk) -> None:
    profile = desk.profile()
    bruno = desk.window(profile).open()
    bruno.page.get_by_role("button", name="bruno").click()
    with profile.expect_page() as opened:
        bruno.page.get_by_role("button", name="Open as ana").click()
    ana = Window(opened.value, desk.origin, "en-US", desk.troubles)
    ana.enter("Demonstration")
    bruno.enter("Demonstration")
    bruno.send("from this window")
    expect(ana.message("from this window")).to_be_visible()
    # Each stays who it is.
    for window, name in ((bruno, "bruno"), (ana, "ana")):
        window.open()
        expect(window.page.get_by_role("button", name=f"account of {name}")).to_be_visible()


def test_text_is_text_and_tokens_are_not_lying_about(desk: Desk, server: Server) -> None:
    (token,) = server.sign_up("mona")
    chat = server.private(token, "ana")
    hostile = '<img src=x onerror="document.title=1"> <a href="javascript:alert(1)">x</a>'
    server.say(token, chat, hostile, "see https://example.com/a?b=c#d.")
    mona = desk.person("mona", PASSWORD).enter("ana")
    expect(mona.message(hostile)).to_be_visible()
    link = mona.message("see https://example.com/a?b=c#d.").get_by_role("link")
    expect(link).to_have_attribute("href", "https://example.com/a?b=c#d")
    expect(link).to_have_attribute("rel", "noopener noreferrer")
    assert mona.page.locator("#scroll img, #scroll [href^=javascript]").count() == 0
    kept = mona.page.evaluate(
        """async () => {
          const found = [localStorage, sessionStorage].map((one) => JSON.stringify({ ...one }));
          for (const { name } of await indexedDB.databases()) {
            const database = await new Promise((done) => {
              const request = indexedDB.open(name);
              request.onsuccess = () => done(request.result);
            });
            for (const store of database.objectStoreNames) {
              const all = await new Promise((done) => {
                const request = database.transaction(store).objectStore(store).getAll();
                request.onsuccess = () => done(request.result);
              });
              for (const one of all) {
                if (one.key) {
                  found.push(`key ${one.key.extractable} ${one.key.algorithm.name}`);
                  found.push(new TextDecoder("latin1").decode(one.sealed));
                } else found.push(JSON.stringify(one));
              }
            }
            database.close();
          }
          return found;
        }"""
    )
    assert "key false AES-GCM" in kept
    for one in kept:
        # An access token is a JWT; a refresh token is two parts of base64.
        assert not re.search(r"eyJ[\w-]+\.[\w-]+\.", one), one
        assert not re.search(r"[\w-]{43}", one), one


def test_nobody_is_asked_for_notifications(desk: Desk) -> None:
    window = desk.window()
    window.page.add_init_script(
        "window.asked = 0;"
        "Notification.requestPermission = async () => { window.asked += 1; return 'denied'; };"
    )
    window.open().sign_in("bruno").enter("Demonstration")
    window.send("quietly")
    assert window.page.evaluate("window.asked") == 0
    window.page.get_by_role("button", name="Menu and account of bruno").click()
    window.page.get_by_role("button", name="Notify me").click()
    until(lambda: window.page.evaluate("window.asked") == 1)


def test_keys_are_enough(desk: Desk, server: Server) -> None:
    (token,) = server.sign_up("nina")
    server.say(token, server.private(token, "ana"), "one", "two")
    page = desk.person("nina", PASSWORD).page
    link = page.get_by_role("link", name="ana", exact=True)
    expect(link).to_be_visible()
    for _ in range(12):
        page.keyboard.press("Tab")
        if link.evaluate("it => it === document.activeElement"):
            break
    page.keyboard.press("Enter")
    box = page.get_by_role("textbox", name="Message")
    expect(box).to_be_focused()
    page.keyboard.type("three")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("lines")
    page.keyboard.press("Enter")
    last = page.get_by_role("listitem").filter(has_text="lines")
    expect(last).to_have_attribute("data-seq", "3")
    page.keyboard.press("ArrowUp")
    expect(last).to_be_focused()
    page.keyboard.press("ArrowUp")
    page.keyboard.press("r")
    expect(box).to_be_focused()
    page.keyboard.type("to two")
    page.keyboard.press("Enter")
    reply = page.get_by_role("listitem").filter(has_text="to two")
    expect(reply.get_by_role("button", name="two")).to_be_visible()
    expect(reply).to_have_attribute("data-seq", "4")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("e")
    expect(box).to_have_value("to two")
    page.keyboard.press("Escape")
    expect(box).to_have_value("")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="👍", exact=True).press("Enter")
    expect(reply).to_be_focused()  # the choice is closed, and the focus not lost
    expect(reply.get_by_role("button", name="👍, 1 person: You")).to_be_visible()
    page.get_by_role("button", name="New conversation").press("Enter")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(page.get_by_role("button", name="New conversation")).to_be_focused()


@pytest.mark.parametrize(
    ("size", "theme", "language"),
    [
        (DESK, "light", "pt-BR"),
        (DESK, "dark", "en-US"),
        (PHONE, "light", "en-US"),
        (PHONE, "dark", "pt-BR"),
    ],
)
def test_axe_finds_nothing(
    desk: Desk, server: Server, size: tuple[int, int], theme: str, language: str
) -> None:
    window = desk.window(language=language, size=size, color_scheme=theme)
    name = f"{size[0]}-{theme}-{language[:2]}"
    window.open()
    expect(window.page.locator("#username")).to_be_visible()
    check(window, f"sign-in-{name}")
    window.sign_in("bruno")
    expect(window.conversation("Demonstration")).to_be_visible()
    check(window, f"list-{name}")
    window.enter("Demonstration")
    window.send(f"Olá from {name} 👋")
    window.page.locator(".message.mine").last.hover()
    check(window, f"conversation-{name}")
    window.page.locator(".details-button").click()
    expect(window.page.locator(".details .person").first).to_be_visible()
    check(window, f"details-{name}")
    window.page.locator(".details header button").click()
    if size == PHONE:
        window.page.locator(".back").click()
    for opener, item in (
        (".me", ".menu button >> nth=0"),
        ("button[title$='conversation'], button[title='Nova conversa']", None),
    ):
        window.page.locator(opener).first.click()
        if item:
            check(window, f"menu-{name}")
            window.page.locator(item).click()
        expect(window.page.get_by_role("dialog")).to_be_visible()
        check(window, f"dialog-{'profile' if item else 'new'}-{name}")
        window.page.keyboard.press("Escape")
