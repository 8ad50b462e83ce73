"""Sign in and send a message: `python test_producer.py [TEXT]`. Needs Python, nothing else.

CHAT4ALL_URL (http://localhost:8000), CHAT4ALL_USER (bruno), CHAT4ALL_PASSWORD (test) and
CHAT4ALL_CHAT can be set; what they are by themselves is there after `chat4all demo`.
"""

import json
import os
import sys
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

URL = os.environ.get("CHAT4ALL_URL", "http://localhost:8000")
USER = os.environ.get("CHAT4ALL_USER", "bruno")
PASSWORD = os.environ.get("CHAT4ALL_PASSWORD", "test")
CHAT = os.environ.get("CHAT4ALL_CHAT", "550e8400-e29b-41d4-a716-446655440000")


def post(path: str, body: bytes, **headers: str) -> Any:
    """Post to the gateway and return its answer; what it refuses ends the program."""
    request = urllib.request.Request(URL + path, body, headers)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        sys.exit(f"{path} was refused with {error.code}: {json.load(error)['detail']}")
    except OSError as error:
        sys.exit(f"{URL} does not answer: {error}")


def main() -> None:
    """Sign in and send."""
    text = " ".join(sys.argv[1:]) or "Olá!"
    form = urllib.parse.urlencode({"username": USER, "password": PASSWORD}).encode()
    token = post("/token", form)["access_token"]
    print(f"Signed in as {USER}.")
    message = json.dumps({"chat_id": CHAT, "content": text}).encode()
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    answer = post("/v1/messages", message, **headers)
    print(f"Sent: {text}")
    print(f"Answer: {answer['status']}, message_id {answer['message_id']}")


if __name__ == "__main__":
    main()
