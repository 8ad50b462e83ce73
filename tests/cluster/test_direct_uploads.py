"""Uploads straight to the S3 server, begun and completed at gateways that are killed meanwhile."""

import hashlib
import http.client
import random
import time
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.cluster.files import FilesSite, files_site
from tests.faults.running import call

__all__ = ["files_site"]

pytestmark = [pytest.mark.slow, pytest.mark.engines, pytest.mark.timeout(240, func_only=True)]

PART = 8 * 1024 * 1024
SIZE = 2 * PART + 12_345


def put(url: str, data: bytes) -> tuple[int, str]:
    """Send a part as somebody does who knows nothing of the store but this URL.

    A store that refuses it may close the connection before it has read all: that is status 0.
    """
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=60)
    try:
        connection.request("PUT", f"{parts.path}?{parts.query}", body=data)
        answer = connection.getresponse()
        answer.read()
        return answer.status, answer.getheader("ETag", "")
    except ConnectionError:
        return 0, ""
    finally:
        connection.close()


def begun(site: FilesSite) -> tuple[Any, list[bytes]]:
    """Begin an upload at the first gateway; return it and the bytes of its parts."""
    data = random.Random(time.monotonic_ns()).randbytes(SIZE)
    body = {"size": SIZE, "name": "film.bin"}
    status, upload = call("POST", f"{site.gateways[0].url}/v1/files/initiate", body, site.token)
    assert status == 201, upload
    assert (upload["part_size"], len(upload["parts"])) == (PART, 3)
    return upload, [data[at : at + PART] for at in range(0, SIZE, PART)]


def sent(upload: Any, pieces: list[bytes]) -> list[dict[str, Any]]:
    """Send all parts; return what to name them by."""
    named = []
    for part, piece in zip(upload["parts"], pieces, strict=True):
        status, etag = put(part["url"], piece)
        assert status == 200
        named.append({"number": part["number"], "etag": etag})
    return named


def complete(site: FilesSite, gateway: int, upload: Any, **body: Any) -> tuple[int, Any]:
    url = f"{site.gateways[gateway].url}/v1/files/{upload['file_id']}/complete"
    return call("POST", url, body, site.token)


def test_an_upload_is_completed_at_the_other_gateway(site: FilesSite) -> None:
    """Fails when anything of an upload is known to the gateway only that it was begun at."""
    upload, pieces = begun(site)
    digest = hashlib.sha256(b"".join(pieces)).hexdigest()
    status, etag = put(upload["parts"][0]["url"], pieces[0])
    assert status == 200
    site.gateways[0].kill()
    try:
        url = f"{site.gateways[1].url}/v1/files/{upload['file_id']}/parts"
        status, found = call("GET", url, token=site.token)
        assert status == 200
        assert [part["etag"] for part in found["parts"]] == [etag, None, None]
        named = [{"number": 1, "etag": etag}]
        for part, piece in zip(found["parts"][1:], pieces[1:], strict=True):
            named.append({"number": part["number"], "etag": put(part["url"], piece)[1]})
        status, file = complete(site, 1, upload, parts=named, sha256=digest)
        assert status == 200, file
        assert (file["size"], file["sha256"], file["name"]) == (SIZE, digest, "film.bin")
        again = [complete(site, 1, upload, parts=named)]
    finally:
        site.restart(site.gateways[0])
    again.append(complete(site, 0, upload, parts=named))
    assert again == [(200, file), (200, file)]
    site.is_everywhere(f"/v1/files/{upload['file_id']}", digest)


def test_what_is_not_as_it_was_named_is_refused(site: FilesSite) -> None:
    """Fails when bytes become a file that nobody has named."""
    upload, pieces = begun(site)
    assert put(upload["parts"][2]["url"], pieces[2] + b"more")[0] in (403, 0)
    named = sent(upload, pieces)
    other = bytes(PART)
    assert put(upload["parts"][1]["url"], other)[0] == 200
    status, problem = complete(site, 1, upload, parts=named)
    assert status == 409
    assert "these ETags: 2;" in problem["detail"]
    assert put(upload["parts"][1]["url"], pieces[1])[0] == 200
    status, file = complete(site, 0, upload, parts=named)
    assert status == 200, file
    assert put(upload["parts"][1]["url"], other)[0] in (404, 0)
    site.is_everywhere(
        f"/v1/files/{upload['file_id']}", hashlib.sha256(b"".join(pieces)).hexdigest()
    )


def test_what_does_not_match_is_gone(site: FilesSite) -> None:
    upload, pieces = begun(site)
    named = sent(upload, pieces)
    assert complete(site, 1, upload, parts=named, sha256="0" * 64)[0] == 460
    assert complete(site, 0, upload, parts=named)[0] == 404
