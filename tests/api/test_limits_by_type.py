"""Files that are larger than their type may be, found out when a message is to name them.

While a file is uploaded only its uploader says what it is.
"""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.api.conftest import Api, running
from tests.api.test_attached import send, status, upload
from tests.api.test_http import check_problem
from tests.api.tus import PNG, Tus, named
from tests.unit.test_media_types import box

pytestmark = pytest.mark.anyio

LIMITS = {"image": 1_000, "audio": 2_000, "video": 3_000, "application": 4_000}

BEGINNINGS = {"image": PNG, "audio": b"fLaC\0\0\0\x22", "video": box(b"mp42"), "file": b"%PDF-1.7"}
"""How the content of a file begins that is sent as this kind."""


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    limits = ",".join(f"{name}={most}" for name, most in LIMITS.items())
    async with running(tmp_path / "data", file_max_by_type=limits, rate_limits="off") as found:
        yield found


def content(kind: str, size: int) -> bytes:
    return BEGINNINGS[kind] + bytes(size - len(BEGINNINGS[kind]))


@pytest.mark.parametrize("kind", BEGINNINGS)
async def test_a_file_is_as_large_as_its_content_may_be(api: Api, kind: str) -> None:
    """Fails when what its uploader has said counts: `text/html`, of which any size may be."""
    bruno, ana = await api.sign_in("bruno"), await api.sign_in("ana")
    most = LIMITS.get(kind, LIMITS["application"])
    too_large = await upload(api, bruno, content(kind, most + 1))
    # As a plain file, too: it is what it is.
    for sent_as in (kind, "file"):
        problem = check_problem(await send(api, bruno, too_large, kind=sent_as), 422)
        (error,) = problem["errors"]
        assert error["pointer"] == "/payload/file_id"
        assert error["detail"] == f"a file of this type has at most {most:,} bytes"
    assert await status(api, ana, too_large) == 404  # nobody gets it by a refused message
    largest = await upload(api, bruno, content(kind, most))
    answer = await send(api, bruno, largest, kind=kind)
    assert answer.status_code == 202, answer.text
    assert await status(api, ana, largest) == 200
    await api.routed()
    (shown,) = await api.history(ana)
    assert (shown["payload"]["file_id"], shown["payload"]["size"]) == (largest, most)


async def test_a_limit_is_that_of_the_content_and_not_of_the_kind(api: Api) -> None:
    """Of two files with one size, the one whose type may have it is sent."""
    bruno = await api.sign_in("bruno")
    size = LIMITS["image"] + 1
    picture = await upload(api, bruno, content("image", size))
    check_problem(await send(api, bruno, picture, kind="file"), 422)
    film = await upload(api, bruno, content("video", size))
    for kind in ("video", "file"):
        assert (await send(api, bruno, film, kind=kind)).status_code == 202


async def test_what_is_said_to_be_of_a_type_has_its_limit_at_once(api: Api) -> None:
    bruno = Tus(api, await api.sign_in("bruno"))
    for size, wanted in ((LIMITS["image"], 201), (LIMITS["image"] + 1, 413)):
        said = named("mar.png", "image/png")
        answer = await bruno.ask("POST", "/v1/files", Upload_Length=str(size), **said)
        assert answer.status_code == wanted, answer.text


async def test_a_limit_that_is_lowered_holds_for_files_that_are_there(tmp_path: Path) -> None:
    """They are read as before, and not sent on."""
    for most, wanted in ((1_000, 202), (999, 422)):
        async with running(tmp_path / "data", file_max_by_type=f"image={most}") as api:
            bruno, ana = await api.sign_in("bruno"), await api.sign_in("ana")
            if wanted == 202:
                file_id = await upload(api, bruno, content("image", 1_000))
                assert (await send(api, bruno, file_id)).status_code == 202
                await api.routed()
            assert (await send(api, ana, file_id)).status_code == wanted
            assert await status(api, ana, file_id) == 200
