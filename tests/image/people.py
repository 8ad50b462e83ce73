"""Somebody who signs up, writes and sends files, through the port that a container publishes."""

import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from tests.faults.running import call
from tests.faults.tus import TusUpload

GATEWAY = "http://127.0.0.1:8000"
SECONDS = 60


class Person:
    """Somebody who signed up."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._password = f"correct horse {name}"
        body = {"username": name, "password": self._password, "email": f"{name}@example.com"}
        assert call("POST", f"{GATEWAY}/v1/users", body)[0] == 201
        self.token = self.sign_in()

    def sign_in(self) -> str:
        form = {"username": self.name, "password": self._password}
        status, body = call("POST", f"{GATEWAY}/token", form=form)
        assert status == 200, body
        return str(body["access_token"])

    def conversation_with(self, other: "Person") -> str:
        body = {"type": "private", "members": [other.name]}
        status, made = call("POST", f"{GATEWAY}/v1/conversations", body, self.token)
        assert status in (200, 201), made
        return str(made["conversation_id"])

    def send(self, conversation: str, content: str) -> str:
        return self._post({"chat_id": conversation, "content": content})

    def send_file(self, conversation: str, kind: str, path: str) -> str:
        """Send what was uploaded to a path."""
        payload = {"file_id": path.rpartition("/")[2]}
        return self._post({"chat_id": conversation, "kind": kind, "payload": payload})

    def _post(self, body: dict[str, Any]) -> str:
        status, sent = call("POST", f"{GATEWAY}/v1/messages", body, self.token)
        assert status == 202, sent
        return str(sent["message_id"])

    def upload(self, file: Path) -> str:
        """Upload a file and return its path."""
        upload = self.begin(file)
        assert upload.patch(GATEWAY, 0) == 204
        assert upload.acknowledged == upload.size
        return upload.path

    def begin(self, file: Path) -> TusUpload:
        return TusUpload(file, self.token).begin(GATEWAY)

    def get(self, path: str) -> tuple[int, str, bytes]:
        """Return status, type and content."""
        headers = {"Authorization": f"Bearer {self.token}"}
        asked = urllib.request.Request(f"{GATEWAY}{path}", headers=headers)
        try:
            with urllib.request.urlopen(asked, timeout=SECONDS) as answer:
                return answer.status, answer.headers["Content-Type"], bytes(answer.read())
        except urllib.error.HTTPError as refused:
            with refused:
                return refused.code, refused.headers["Content-Type"], bytes(refused.read())

    def history(self, conversation: str) -> list[dict[str, Any]] | None:
        """Return the newest page; None while it cannot be read."""
        path = f"{GATEWAY}/v1/conversations/{conversation}/messages?limit=200"
        try:
            status, page = call("GET", path, token=self.token)
        except OSError:
            return None
        return list(page) if status == 200 else None
