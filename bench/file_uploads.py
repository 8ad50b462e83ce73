"""Upload files until told to stop, or one: `python -m bench.file_uploads`, a job in JSON as input.

The job has the `port`, the `tokens` of those who upload, each one file at a time, `bytes`, of one
file, and `request_bytes`, of one request. With `once` each uploads one file; otherwise one after
the other, each given up when it is whole, until the input ends. It prints the bytes that were
acknowledged, and the seconds.
"""

import http.client
import json
import sys
import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

TUS = {"Tus-Resumable": "1.0.0"}
SECONDS = 120


class Uploader:
    """Uploads the same bytes again and again."""

    def __init__(self, port: int, token: str, content: memoryview, request: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=SECONDS)
        self._headers = {**TUS, "Authorization": f"Bearer {token}"}
        self._content = content
        self._request = request
        self.acknowledged = 0

    def upload(self, ending: threading.Event) -> None:
        """Upload one file, unless it is to end before, and give it up."""
        size = len(self._content)
        location = self._ask("POST", "/v1/files", 201, {"Upload-Length": str(size)})
        for start in range(0, size, self._request):
            if ending.is_set():
                break
            piece = self._content[start : start + self._request]
            self._ask(
                "PATCH",
                location,
                204,
                {
                    "Upload-Offset": str(start),
                    "Content-Type": "application/offset+octet-stream",
                    "Content-Length": str(len(piece)),
                },
                piece,
            )
            self.acknowledged += len(piece)
        self._ask("DELETE", location, 204, {})

    def _ask(
        self,
        method: str,
        path: str,
        status: int,
        headers: Mapping[str, str],
        body: memoryview | None = None,
    ) -> str:
        self._connection.request(method, path, body, {**self._headers, **headers})
        answer = self._connection.getresponse()
        text = answer.read()
        if answer.status != status:
            raise SystemExit(f"{method} was answered with {answer.status}: {text.decode()}")
        return answer.headers.get("Location", "")


def main() -> None:
    """Do the job of standard input."""
    job = json.loads(sys.stdin.readline())
    content, ending = memoryview(bytes(job["bytes"])), threading.Event()
    uploaders = [
        Uploader(job["port"], token, content, job["request_bytes"]) for token in job["tokens"]
    ]

    def run(uploader: Uploader) -> None:
        uploader.upload(ending)
        while not job["once"] and not ending.is_set():
            uploader.upload(ending)

    with ThreadPoolExecutor(len(uploaders)) as threads:
        started = time.monotonic()
        running = [threads.submit(run, uploader) for uploader in uploaders]
        if not job["once"]:
            sys.stdin.read()
            ending.set()
        for one in running:
            one.result()
        seconds = time.monotonic() - started
    print(json.dumps({"bytes": sum(u.acknowledged for u in uploaders), "seconds": seconds}))


if __name__ == "__main__":
    main()
