"""What a program gives the client: what cannot be sent is told at once, and without secrets."""

from pathlib import Path
from typing import Any

import httpx2
import pytest

from chat4all.client import Client, Defect, Unavailable, sign_in
from chat4all.client.calling import Call, Caller
from chat4all.client.timing import Pace
from tests.client.answering import answering
from tests.client.certified import certified

pytestmark = pytest.mark.anyio

SECRET = "sesame"


@pytest.mark.parametrize(
    "url",
    [
        "chat.example.com",
        "ftp://chat.example.com",
        "http://",
        "http://[",
        "http://chat.example.com:99999",
        "http://chat example.com",
        f"https://ana:{SECRET}@chat.example.com",
        f"https://chat.example.com/?token={SECRET}",
        f"https://chat.example.com#{SECRET}",
    ],
)
def test_an_address_that_is_none(url: str) -> None:
    with pytest.raises(ValueError, match="the address of a server") as raised:
        Client(url, token="t")
    assert SECRET not in str(raised.value)


@pytest.mark.parametrize(
    "url",
    [
        "http://localhost:8000",
        "https://chat.example.com/chat/",
        "http://[::1]:8000",
        "https://café.example",
    ],
)
def test_an_address(url: str) -> None:
    assert Caller(url, 1.0, Pace()).url == url.rstrip("/")


@pytest.mark.parametrize("token", [f"{SECRET}\n", f"{SECRET} ", f"{SECRET}é"])
async def test_a_token_that_is_none(token: str) -> None:
    """One that was read from a file has the line end of the file."""
    with pytest.raises(ValueError, match="line end") as raised:
        Client("http://localhost", token=token)
    assert SECRET not in str(raised.value)

    async def get_token() -> Any:
        return token

    async with answering((200, {})) as server, Client(server.url, get_token=get_token) as chat:
        for asking in (chat.me(), anext(chat.events())):
            with pytest.raises(Defect, match="no access token") as found:
                await asking
            assert SECRET not in repr(found.value)
        assert server.requests == []


async def test_a_function_that_returns_nothing() -> None:
    async def get_token() -> Any:
        return None

    async with Client("http://localhost", get_token=get_token) as chat:
        with pytest.raises(Defect, match="no access token"):
            await chat.me()


@pytest.mark.parametrize("text", ["two\nlines", "é", " "])
def test_other_headers(text: str) -> None:
    with pytest.raises(ValueError, match="user_agent is printable ASCII"):
        Client("http://localhost", token="t", user_agent=text)
    with pytest.raises(ValueError, match="an id or a key is printable ASCII"):
        Call("POST", "/", key=text)


async def test_what_a_library_says_of_headers_is_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    async def request(*_: Any, **__: Any) -> Any:
        raise httpx2.LocalProtocolError(f"Illegal header value b'Bearer {SECRET}'")

    monkeypatch.setattr(httpx2.AsyncClient, "request", request)
    async with Client("http://localhost", token=SECRET, timeout=0.1) as chat:
        with pytest.raises(Unavailable) as raised:
            await chat.me()
    assert SECRET not in str(raised.value)


async def test_signing_in_and_up_where_the_system_does_not_know_the_authority(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chat4all.client.client.CALL_SECONDS", 0.2)
    async with certified(tmp_path) as server:
        ssl = server.trusting
        for asking in (
            sign_in(server.url, "ana", "test", ssl=ssl),
            Client.sign_up(server.url, "ana", "ana@example.com", "long enough", ssl=ssl),
        ):
            with pytest.raises(Unavailable):
                await asking  # 503
        assert server.calls >= 2
