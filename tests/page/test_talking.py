"""Two people in two browsers on a real server."""

import json
import re

import pytest
from playwright.sync_api import expect

from tests.faults.running import CHAT
from tests.page.browsing import PHONE, Desk, Window, in_order
from tests.page.conftest import PASSWORD, Server

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

# What a browser says of requests that fail, by tests that let them fail.
FAILED_REQUESTS = r"Failed to load resource|WebSocket connection to"


def contents(server: Server, username: str, chat: str = CHAT) -> list[str]:
    password = "test" if username in ("bruno", "ana") else PASSWORD
    return [one["content"] for one in server.history(server.token(username, password), chat)]


def texts(window: Window) -> list[str]:
    return window.page.locator(".message .text").all_text_contents()


def test_two_people_talk(desk: Desk) -> None:
    bruno, ana = desk.person("bruno"), desk.person("ana", language="pt-BR")
    bruno.enter("Demonstration")
    said = bruno.send("Olá, Ana!")
    expect(said).to_be_visible()
    # It has reached her, which no answer to a request has said.
    expect(said.get_by_role("img", name="Delivered")).to_be_visible()
    # She has not opened it: it is unread, in the title too, and then read.
    expect(ana.page).to_have_title("(1) Chat4All")
    expect(ana.conversation("Demonstration")).to_have_accessible_description(
        re.compile("bruno: Olá, Ana! .*1 não lida")
    )
    ana.enter("Demonstration")
    expect(ana.message("Olá, Ana!")).to_be_visible()
    expect(said.get_by_role("img", name="Read")).to_be_visible()
    expect(ana.page).to_have_title("Chat4All")

    ana.box.press_sequentially("Oi")
    expect(bruno.page.get_by_text("ana is typing …").first).to_be_visible()
    ana.send("Oi, Bruno!")
    expect(bruno.message("Oi, Bruno!")).to_be_visible()
    # Of others' messages a screen reader is told once, apart from the list.
    expect(bruno.page.locator("#announcer")).to_have_text("ana: Oi, Bruno!")
    assert bruno.page.locator("[aria-live]").count() == 1

    bruno.act("Olá, Ana!", "Edit")
    expect(bruno.box).to_have_value("Olá, Ana!")
    bruno.box.fill("Olá, Ana! Tudo bem?")
    bruno.box.press("Enter")
    edited = ana.message("Olá, Ana! Tudo bem?")
    expect(edited).to_contain_text("editada")

    ana.act("Olá, Ana! Tudo bem?", "Responder")
    ana.send("Tudo!")
    expect(bruno.message("Tudo!").get_by_role("button", name="Olá, Ana! Tudo bem?")).to_be_visible()

    bruno.act("Tudo!", "React")
    bruno.page.get_by_role("button", name="🎉", exact=True).click()
    expect(ana.message("Tudo!").get_by_role("button", name="🎉, 1 pessoa: bruno")).to_be_visible()
    bruno.message("Tudo!").get_by_role("button", name="🎉, 1 person: You").click()
    expect(ana.message("Tudo!").get_by_role("button", name="🎉, 1 pessoa")).to_have_count(0)

    bruno.act("Olá, Ana! Tudo bem?", "Delete")
    bruno.page.get_by_role("dialog").get_by_role("button", name="Delete", exact=True).click()
    expect(edited).to_have_count(0)
    expect(ana.message("Esta mensagem foi apagada.")).to_be_visible()
    bruno.picture("talking-bruno")
    ana.picture("talking-ana")


def test_what_is_written_without_a_connection_is_sent_once_it_is_back(
    desk: Desk, server: Server
) -> None:
    (token,) = server.sign_up("olga")
    chat = server.private(token, "ana")
    ana, olga = desk.person("ana"), desk.person("olga", PASSWORD)
    ana.enter("olga")
    olga.enter("ana")
    olga.page.context.set_offline(True)
    banner = olga.page.get_by_text("No connection. What you write is kept")
    expect(banner).to_be_visible()
    said = olga.send("written in a tunnel")
    expect(said.get_by_role("img", name="Waiting for the connection")).to_be_visible()
    olga.picture("offline")
    olga.page.context.set_offline(False)
    expect(said.get_by_role("img", name="Read")).to_be_visible()
    expect(banner).to_have_count(0)
    expect(ana.message("written in a tunnel")).to_have_count(1)
    assert contents(server, "olga", chat) == ["written in a tunnel"]
    desk.forgive(FAILED_REQUESTS)


def test_a_server_that_is_killed_loses_nothing(desk: Desk, server: Server) -> None:
    (token,) = server.sign_up("karl")
    chat = server.private(token, "ana")
    ana, karl = desk.person("ana"), desk.person("karl", PASSWORD)
    ana.enter("karl")
    karl.enter("ana")
    expect(karl.send("before")).to_be_visible()
    expect(ana.message("before")).to_be_visible()
    server.kill()
    karl.send("while it is down")
    expect(karl.page.get_by_text("No connection. What you write is kept")).to_be_visible()
    expect(ana.page.get_by_role("button", name="Connect now")).to_be_visible()
    server.start()
    for window in (ana, karl):  # what that button does; it may be gone already
        window.page.evaluate("dispatchEvent(new Event('online'))")
    expect(ana.message("while it is down")).to_be_visible()
    expect(karl.message("while it is down").get_by_role("img", name="Read")).to_be_visible()
    ana.send("after")
    expect(karl.message("after")).to_be_visible()
    wanted = ["before", "while it is down", "after"]
    assert contents(server, "karl", chat) == wanted
    assert texts(karl) == texts(ana) == wanted
    desk.forgive(FAILED_REQUESTS)


def test_an_unsent_message_survives_a_reload_and_is_sent_once(desk: Desk, server: Server) -> None:
    (token,) = server.sign_up("rita")
    chat = server.private(token, "ana")
    profile = desk.profile()
    # Answers are lost: the first tries arrive, but nobody is told.
    profile.route("**/v1/messages", lambda route: (route.fetch(), route.abort()))
    one = desk.window(profile).open().sign_in("rita", PASSWORD).enter("ana")
    one.send("only once")
    expect(one.message("only once")).to_have_attribute("data-seq", "1")
    profile.unroute("**/v1/messages")
    profile.route("**/v1/messages", lambda route: route.abort())
    one.send("not yet sent")
    one.box.fill("a draft")
    expect(one.message("not yet sent").get_by_role("img", name="Sending")).to_be_visible()
    two = desk.window(profile).open().enter("ana")
    one.page.reload()
    expect(one.message("not yet sent")).to_have_count(1)
    expect(one.box).to_have_value("a draft")
    profile.unroute("**/v1/messages")
    for window in (one, two):
        expect(window.message("not yet sent")).to_have_attribute("data-seq", "2")
        assert in_order(texts(window), ["only once", "not yet sent"])
    assert contents(server, "rita", chat) == ["only once", "not yet sent"]
    desk.forgive(FAILED_REQUESTS)


def test_a_message_that_is_refused_stays_to_be_tried_again(desk: Desk, server: Server) -> None:
    (token,) = server.sign_up("sara")
    chat = server.private(token, "ana")
    sara = desk.person("sara", PASSWORD).enter("ana")
    refused = json.dumps({"type": "/problems/not-allowed", "title": "Not allowed", "status": 403})
    sara.page.route("**/v1/messages", lambda route: route.fulfill(status=403, body=refused))
    for text in ("to be discarded", "to be tried again"):
        expect(sara.send(text)).to_contain_text("Not delivered.")
    sara.page.reload()
    sara.message("to be discarded").get_by_role("button", name="Discard").click()
    expect(sara.message("to be discarded")).to_have_count(0)
    sara.page.unroute("**/v1/messages")
    sara.message("to be tried again").get_by_role("button", name="Try again").click()
    said = sara.message("to be tried again")
    expect(said).to_have_attribute("data-seq", "1")
    expect(said.get_by_role("img", name="Sent")).to_be_visible()  # ana is not there
    assert contents(server, "sara", chat) == ["to be tried again"]
    desk.forgive(FAILED_REQUESTS)


def test_two_tabs_are_one_person(desk: Desk, server: Server) -> None:
    token, _ = server.sign_up("tina", "theo")
    chat = server.private(token, "theo")
    profile = desk.profile()
    one = desk.window(profile).open().sign_in("tina", PASSWORD).enter("theo")
    two = desk.window(profile).open().enter("theo")  # signed in already
    one.send("from one")
    expect(two.message("from one")).to_be_visible()
    two.send("from two")
    expect(one.message("from two")).to_be_visible()
    assert contents(server, "tina", chat) == ["from one", "from two"]
    assert texts(one) == texts(two) == ["from one", "from two"]
    server.say(server.token("theo", PASSWORD), chat, "a secret")
    expect(one.page.locator("#announcer")).to_have_text("theo: a secret")
    one.page.get_by_role("button", name="Menu and account of tina").click()
    one.page.get_by_role("button", name="Sign out").click()
    expect(one.page.get_by_role("textbox", name="Username")).to_be_visible()
    expect(one.page.locator("#announcer")).to_be_empty()
    expect(two.page.get_by_text("This device was signed out.")).to_be_visible()
    assert json.loads(one.page.evaluate("JSON.stringify({...localStorage})")).keys() <= {
        "chat4all.second"
    }
    desk.forgive(FAILED_REQUESTS)


def test_a_group_is_made_and_left(desk: Desk, server: Server) -> None:
    _, (greta, gil) = server.sign_up("greta", "gil"), ("greta", "gil")
    owner, other = desk.person(greta, PASSWORD), desk.person(gil, PASSWORD)
    page = owner.page
    page.get_by_role("button", name="New conversation").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name="Group", exact=True).click()
    dialog.get_by_role("textbox", name="Title of the group").fill("Garden")
    for name in (gil, "ana"):
        dialog.get_by_role("searchbox", name="Name of a person").fill(name)
        dialog.get_by_role("button", name=f"@{name}").click()
    dialog.get_by_role("button", name="Create group").click()
    expect(page.get_by_role("heading", name="Garden").first).to_be_visible()
    owner.box.fill("Who waters, @gi")
    page.get_by_role("option", name="@gil").click()
    page.get_by_role("button", name="Send").click()
    expect(other.conversation("Garden")).to_be_visible()
    other.enter("Garden")
    expect(other.message("Who waters, @gil").locator(".mention")).to_have_text("@gil")

    page.get_by_role("button", name="Members and settings").click()
    members = page.get_by_role("complementary", name="Members and settings")
    members.get_by_role("combobox", name="Role of gil").select_option("admin")
    other.page.get_by_role("button", name="Members and settings").click()
    its = other.page.get_by_role("complementary", name="Members and settings")
    its.get_by_role("button", name="Remove ana").click()
    other.page.get_by_role("dialog").get_by_role("button", name="Remove ana").click()
    expect(members.get_by_role("listitem")).to_have_count(2)
    its.get_by_role("textbox", name="Title").fill("Garden 2")
    its.get_by_role("button", name="Rename").click()
    expect(owner.conversation("Garden 2")).to_be_visible()
    other.picture("group")
    its.get_by_role("button", name="Leave group").click()
    other.page.get_by_role("dialog").get_by_role("button", name="Leave group").click()
    expect(other.conversation("Garden 2")).to_have_count(0)
    expect(members.get_by_role("listitem")).to_have_count(1)


def test_on_a_phone_there_is_one_pane_at_a_time(desk: Desk) -> None:
    phone = desk.person(
        "ana", size=PHONE, language="pt-BR", has_touch=True, is_mobile=True, color_scheme="dark"
    )
    phone.picture("phone-list")
    phone.conversation("Demonstration").tap()
    expect(phone.box).to_be_visible()
    expect(phone.conversation("Demonstration")).to_be_hidden()
    phone.send("do telefone")
    phone.message("do telefone").tap()
    expect(phone.page.get_by_role("button", name="Responder")).to_be_visible()
    phone.picture("phone")
    wide = phone.page.evaluate("document.documentElement.scrollWidth")
    assert wide == PHONE[0]
    phone.page.get_by_role("link", name="Voltar às conversas").tap()
    expect(phone.conversation("Demonstration")).to_be_visible()
    expect(phone.box).to_have_count(0)


def test_a_device_is_signed_out_from_another(desk: Desk, server: Server) -> None:
    server.sign_up("dora")
    here, there = desk.person("dora", PASSWORD), desk.person("dora", PASSWORD)
    expect(there.page.get_by_role("heading", name="Choose a conversation")).to_be_visible()
    here.page.get_by_role("button", name="Menu and account of dora").click()
    here.page.get_by_role("button", name="Profile and devices").click()
    dialog = here.page.get_by_role("dialog")
    dialog.get_by_role("textbox", name="Name shown to others").fill("Dora D.")
    dialog.get_by_role("button", name="Save profile").click()
    expect(dialog.get_by_text("Saved.")).to_be_visible()
    # Signing up has signed in, too.
    others = dialog.get_by_role("button", name="Sign out")
    expect(others).to_have_count(2)
    others.first.click()
    expect(others).to_have_count(1)
    others.first.click()
    expect(others).to_have_count(0)
    expect(there.page.get_by_text("This device was signed out.")).to_be_visible()
    desk.forgive(FAILED_REQUESTS)
