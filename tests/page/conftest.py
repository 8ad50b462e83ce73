"""A server, a browser and people, for the tests of one module."""

from collections.abc import Iterator

import httpx2
import pytest
from playwright.sync_api import Browser

from bench.browser import chromium
from tests.faults.running import Running, call
from tests.page.browsing import Desk

PASSWORD = "long enough"


class Server(Running):
    """`chat4all up` with people whom a test makes for itself."""

    def sign_up(self, *usernames: str) -> list[str]:
        """Return their tokens."""
        for username in usernames:
            body = {"username": username, "email": f"{username}@example.com", "password": PASSWORD}
            assert call("POST", f"{self.gateway}/v1/users", body)[0] == 201
        return [self.token(username, PASSWORD) for username in usernames]

    def group(self, token: str, title: str, *members: str) -> str:
        body = {"type": "group", "title": title, "members": members}
        status, made = call("POST", f"{self.gateway}/v1/conversations", body, token)
        assert status == 201, made
        return str(made["conversation_id"])

    def private(self, token: str, other: str) -> str:
        body = {"type": "private", "members": [other]}
        status, made = call("POST", f"{self.gateway}/v1/conversations", body, token)
        assert status in (200, 201), made
        return str(made["conversation_id"])

    def say(self, token: str, chat: str, *texts: str) -> None:
        headers = {"Authorization": f"Bearer {token}"}
        with httpx2.Client(base_url=self.gateway, headers=headers, verify=False) as client:
            for content in texts:
                body = {"chat_id": chat, "content": content}
                assert client.post("/v1/messages", json=body).status_code == 202


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    found = Server(tmp_path_factory.mktemp("page"))
    found.start()
    yield found
    found.kill()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


@pytest.fixture
def desk(browser: Browser, server: Server) -> Iterator[Desk]:
    """Windows in which nothing may go wrong."""
    found = Desk(browser, server.gateway)
    yield found
    found.close()
    assert found.troubles == []
