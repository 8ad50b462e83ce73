"""Servers whose certificate is not trusted."""

import asyncio
import gc
import ssl
from pathlib import Path

import httpx2
import pytest

from chat4all.client import Client, Closed, InvalidCertificate, Unavailable, sign_in
from chat4all.client.certificates import invalid_certificate
from tests.client.certified import certified
from tests.client.conftest import PACE

pytestmark = pytest.mark.anyio

SECONDS = 30.0


async def test_a_call_is_not_tried_again(tmp_path: Path) -> None:
    async with certified(tmp_path) as server, Client(server.url, token="t") as chat:
        with pytest.raises(InvalidCertificate, match="not trusted: self-signed") as raised:
            await chat.me()
        assert server.url in str(raised.value)
        with pytest.raises(InvalidCertificate):
            await sign_in(server.url, "ana", "test")
        assert (server.tries, server.calls) == (2, 0)


@pytest.mark.parametrize("how", [{"token": "t"}, {"username": "ana", "password": "test"}])
async def test_a_loop_over_events_ends(tmp_path: Path, how: dict[str, str]) -> None:
    async with certified(tmp_path) as server, Client(server.url, **how) as chat:  # type: ignore[arg-type]
        async with asyncio.timeout(SECONDS):
            with pytest.raises(InvalidCertificate):
                await anext(chat.events())
        assert server.tries == 1


# asyncio does not close the transport of a TLS connection that is given up before it is made.
@pytest.mark.thorough
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_a_program_that_has_had_an_answer_waits_for_another_certificate(
    tmp_path: Path,
) -> None:
    """The certificate is renewed, and no program has to be started again for that."""
    async with certified(tmp_path) as server:
        chat = Client(server.url, token="t", timeout=1.0, ssl=server.trusting)
        chat._pace.factor = PACE
        async with chat:
            with pytest.raises(Unavailable):
                await chat.me()  # 503
            before = server.calls
            events = chat.events()
            waiting = asyncio.ensure_future(anext(events))
            async with asyncio.timeout(SECONDS):
                while server.calls < before + 2:
                    await asyncio.sleep(0.01)
                # Nothing that a client trusts any more.
                chat._caller.ssl = ssl.create_default_context()
                tries, calls = server.tries, server.calls
                while server.tries < tries + 3:
                    await asyncio.sleep(0.01)
                assert not waiting.done()
                assert server.calls <= calls + 1
                chat._caller.ssl = server.trusting
                while server.calls < calls + 3:
                    await asyncio.sleep(0.01)
            await events.aclose()
            with pytest.raises(Closed):
                await waiting
    gc.collect()  # here, where the warning is expected


def test_other_errors_are_not_about_a_certificate() -> None:
    assert invalid_certificate("u", None) is None
    assert invalid_certificate("u", httpx2.ConnectError("refused")) is None
    assert invalid_certificate("u", ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER]")) is None
