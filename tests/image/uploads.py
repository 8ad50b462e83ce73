"""Files that people of the containers upload and send."""

import re
import urllib.request
from typing import Any

from tests.faults.running import until
from tests.faults.tus import MIB, NotNow, TusUpload
from tests.image.people import GATEWAY, Person

SIZE = 20 * MIB + 12_345

FIRST = 9 * MIB
"""What is acknowledged before something happens: a part, and a tail."""

ROOM = 256 * MIB
"""What a gateway holds of all bodies at once."""

AWAY_SECONDS = 60
"""How long something may be away that was restarted or moved."""


def sent(sender: Person, conversation: str, kind: str, path: str, reader: Person) -> dict[str, Any]:
    """Send a file; return its payload as the other one reads it."""
    message_id = sender.send_file(conversation, kind, path)

    def found() -> list[dict[str, Any]]:
        page = reader.history(conversation) or []
        return [message["payload"] for message in page if message["message_id"] == message_id]

    until(lambda: bool(found()), AWAY_SECONDS)
    (payload,) = found()
    return payload


def is_whole(upload: TusUpload, reader: Person) -> None:
    """Fail unless somebody gets the very bytes."""
    status, _, content = reader.get(upload.path)
    assert (status, content) == (200, upload.file.read_bytes())


def finish(upload: TusUpload) -> None:
    """Go on from where the gateway is, as soon as it can."""
    until(lambda: _is_finished(upload), AWAY_SECONDS)


def _is_finished(upload: TusUpload) -> bool:
    try:
        offset = upload.head(GATEWAY)
    except (NotNow, OSError):
        return False
    return offset == upload.size or upload.patch(GATEWAY, offset) == 204


def received_bytes() -> int:
    """Return how many bytes of uploads the gateway has received since it was started."""
    with urllib.request.urlopen(f"{GATEWAY}/metrics", timeout=60) as answer:
        text = answer.read().decode()
    return int(float(re.findall(r"(?m)^chat4all_files_received_bytes_total (\S+)$", text)[0]))
