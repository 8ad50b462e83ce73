"""The chat page as two gateways of a cluster serve it."""

import re

import pytest
from playwright.sync_api import expect

from bench.browser import chromium
from tests.cluster.chats import PASSWORD, Chats
from tests.faults.running import call, until
from tests.page.browsing import Desk

pytestmark = [pytest.mark.slow, pytest.mark.engines, pytest.mark.timeout(240)]


def test_two_people_talk_on_the_pages_of_two_gateways(on: Chats) -> None:
    router = on.router().start()
    until(router.ready, 60)
    here, there = on.gateways
    body = {"type": "private", "members": ["ana"]}
    status, made = call("POST", f"{here.url}/v1/conversations", body, on.tokens["bruno"])
    assert status == 201, made

    with chromium() as browser:
        desks = [Desk(browser, gateway.url) for gateway in (here, there)]
        bruno = desks[0].person("bruno", PASSWORD).enter("ana")
        ana = desks[1].person("ana", PASSWORD, language="pt-BR")
        expect(ana.conversation("bruno")).to_be_visible()
        said = bruno.send("Olá, Ana!")
        expect(said.get_by_role("img", name="Delivered")).to_be_visible()
        expect(ana.page).to_have_title("(1) Chat4All")
        ana.enter("bruno")
        expect(ana.message("Olá, Ana!")).to_be_visible()
        # That she has read it was told by the other gateway.
        expect(said.get_by_role("img", name="Read")).to_be_visible()
        expect(ana.page).to_have_title("Chat4All")

        bruno.act("Olá, Ana!", "Edit")
        expect(bruno.box).to_have_value("Olá, Ana!")
        bruno.box.fill("Olá, Ana! Tudo bem?")
        bruno.box.press("Enter")
        expect(ana.message("Olá, Ana! Tudo bem?")).to_contain_text("editada")

        answer = ana.send("Tudo!")
        expect(bruno.message("Tudo!")).to_be_visible()
        expect(answer.get_by_role("img", name=re.compile("^Lida"))).to_be_visible()
        for desk in desks:
            desk.close()
        assert [desk.troubles for desk in desks] == [[], []]

    # On both gateways there are two messages, read by both users.
    chat = made["conversation_id"]
    for gateway in range(2):
        contents = [(one["content"], one["status"]) for one in on.read(chat, "bruno", gateway)]
        assert contents == [("Olá, Ana! Tudo bem?", "READ"), ("Tudo!", "READ")]
    url = f"{there.url}/v1/conversations/{chat}/receipts"
    status, receipts = call("GET", url, token=on.tokens["bruno"])
    assert status == 200, receipts
    assert {one["username"]: one["read_seq"] for one in receipts} == {"bruno": 2, "ana": 2}
