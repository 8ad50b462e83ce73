"""Uploads straight to the store: what clients ask for, and are answered."""

import hashlib
from typing import Any

import httpx
import pytest

from chat4all.usecases.direct_uploads import DirectUploads
from tests.api.conftest import Api
from tests.api.test_http import check_problem
from tests.api.tus import PNG, Tus, named
from tests.uploads import SignedParts

pytestmark = pytest.mark.anyio

PART = 16
SHA256 = hashlib.sha256(PNG).hexdigest()


class Client:
    """A user, and the store that URLs lead to."""

    def __init__(self, api: Api, who: dict[str, str], store: SignedParts) -> None:
        self._gateway = api.gateway
        self.who = who
        self._store = store

    async def post(self, path: str, body: Any) -> httpx.Response:
        return await self._gateway.post(f"/v1/files{path}", json=body, headers=self.who)

    async def parts(self, file_id: str) -> httpx.Response:
        return await self._gateway.get(f"/v1/files/{file_id}/parts", headers=self.who)

    async def initiate(self, **more: Any) -> Any:
        answer = await self.post("/initiate", {"size": len(PNG), **more})
        assert answer.status_code == 201, answer.text
        return answer.json()

    async def put(self, begun: Any, data: bytes = PNG) -> list[dict[str, Any]]:
        return [
            {
                "number": part["number"],
                "etag": (await self._store.put(part["url"], data[at : at + PART])).etag,
            }
            for at, part in zip(range(0, len(data), PART), begun["parts"], strict=True)
        ]

    async def complete(self, file_id: str, parts: Any, **more: Any) -> httpx.Response:
        return await self.post(f"/{file_id}/complete", {"parts": parts, **more})


@pytest.fixture
def store(api: Api, monkeypatch: pytest.MonkeyPatch) -> SignedParts:
    """A store that clients can reach, in place of one machine's folder."""
    monkeypatch.setattr("chat4all.usecases.direct_uploads.PART_BYTES", PART)
    found = SignedParts(api.parts.blobs)
    monkeypatch.setattr(api.parts.files.uses[DirectUploads], "_presigning", found)
    return found


@pytest.fixture
async def bruno(api: Api, store: SignedParts) -> Client:
    return Client(api, await api.sign_in("bruno"), store)


async def test_a_file_is_sent_to_the_store(api: Api, bruno: Client) -> None:
    begun = await bruno.initiate(name="../praia.png", media_type="image/png; q=1")
    assert begun["part_size"] == PART
    assert [part["size"] for part in begun["parts"]] == [PART, len(PNG) - PART]
    assert all(part["etag"] is None for part in begun["parts"])
    assert begun["urls_expire_at"] < begun["expires_at"]
    file_id, parts = begun["file_id"], await bruno.put(begun)
    answer = await bruno.complete(file_id, parts, sha256=SHA256.upper())
    assert answer.status_code == 200, answer.text
    assert answer.json() == {
        "file_id": file_id,
        "name": "praia.png",
        "size": len(PNG),
        "type": "image/png",
        "sha256": SHA256,
        "width": 1200,
        "height": 800,
        "blurhash": answer.json()["blurhash"],
    }
    assert (await bruno.complete(file_id, parts)).json() == answer.json()
    got = await api.gateway.get(f"/v1/files/{file_id}", headers=bruno.who)
    assert got.content == PNG
    await api.send(bruno.who, kind="image", payload={"file_id": file_id})
    await api.routed()
    shown = (await api.history(bruno.who))[-1]["payload"]
    assert shown == answer.json()


async def test_a_client_goes_on_after_a_break(bruno: Client, store: SignedParts) -> None:
    begun = await bruno.initiate()
    sent = await store.put(begun["parts"][0]["url"], PNG[:PART])
    found = (await bruno.parts(begun["file_id"])).json()
    assert [part["etag"] for part in found["parts"]] == [sent.etag, None]
    assert found["file_id"] == begun["file_id"]
    parts = await bruno.put(found)
    assert (await bruno.complete(begun["file_id"], parts)).status_code == 200
    check_problem(await bruno.parts(begun["file_id"]), 409)


async def test_parts_that_the_store_does_not_have_are_refused(bruno: Client) -> None:
    begun = await bruno.initiate()
    file_id, parts = begun["file_id"], await bruno.put(begun)
    wrong = [parts[0], {"number": 2, "etag": '"another"'}]
    problem = check_problem(await bruno.complete(file_id, wrong), 409)
    assert "these ETags: 2;" in problem["detail"]
    for few in ([], parts[:1], [*parts, {"number": 3, "etag": "x"}], [parts[0], parts[0]]):
        problem = check_problem(await bruno.complete(file_id, few), 422)
        assert [error["pointer"] for error in problem["errors"]] == ["/parts"]
    check_problem(await bruno.complete(file_id, parts, sha256="0" * 64), 460)
    check_problem(await bruno.complete(file_id, parts), 404)


async def test_what_is_asked_is_checked(bruno: Client) -> None:
    for body, pointer in [
        ({}, "/size"),
        ({"size": -1}, "/size"),
        ({"size": "5"}, "/size"),
        ({"size": 5, "name": "x" * 1_001}, "/name"),
        ({"size": 5, "media_type": 1}, "/media_type"),
    ]:
        problem = check_problem(await bruno.post("/initiate", body), 422)
        assert [error["pointer"] for error in problem["errors"]] == [pointer]
    check_problem(await bruno.post("/initiate", {"size": 3 * 1024**3}), 413)
    file_id = (await bruno.initiate())["file_id"]
    part = {"number": 1, "etag": "x"}
    for parts, more in [
        ([part | {"number": 0}], {}),
        ([part | {"number": 257}], {}),
        ([part], {"sha256": "short"}),
    ]:
        check_problem(await bruno.complete(file_id, parts, **more), 422)


async def test_a_sum_with_a_line_break_is_refused_before_it_costs_the_upload(
    bruno: Client,
) -> None:
    begun = await bruno.initiate()
    file_id, parts = begun["file_id"], await bruno.put(begun)
    digest = hashlib.sha256(PNG).hexdigest()
    problem = check_problem(await bruno.complete(file_id, parts, sha256=f"{digest}\n"), 422)
    assert [error["pointer"] for error in problem["errors"]] == ["/sha256"]
    assert (await bruno.complete(file_id, parts, sha256=digest)).status_code == 200


async def test_strangers_learn_nothing_of_an_upload(
    api: Api, bruno: Client, store: SignedParts
) -> None:
    begun = await bruno.initiate()
    parts = await bruno.put(begun)
    ana = Client(api, await api.sign_in("ana"), store)
    check_problem(await ana.parts(begun["file_id"]), 404)
    check_problem(await ana.complete(begun["file_id"], parts), 404)
    check_problem(await Client(api, {}, store).post("/initiate", {"size": 5}), 401)
    assert (await bruno.complete(begun["file_id"], parts)).status_code == 200


async def test_what_has_expired_is_gone(bruno: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    begun = await bruno.initiate()
    parts = await bruno.put(begun)
    # What keeps it for another day keeps it for no time.
    monkeypatch.setattr("chat4all.adapters.sql.uploads.KEPT_MS", 0)
    check_problem(await bruno.parts(begun["file_id"]), 404)
    check_problem(await bruno.complete(begun["file_id"], parts), 404)


async def test_tus_and_the_store_do_not_mix(api: Api, bruno: Client) -> None:
    tus = Tus(api, bruno.who)
    begun = await bruno.initiate()
    path = f"/v1/files/{begun['file_id']}"
    check_problem(await tus.patch(path, 0, PNG), 409)
    assert (await tus.ask("HEAD", path)).status_code == 409
    through = await tus.begin(len(PNG), **named("a.png"))
    check_problem(await bruno.parts(through.rpartition("/")[2]), 409)
    parts = await bruno.put(begun)
    check_problem(await bruno.complete(through.rpartition("/")[2], parts), 409)
    assert (await bruno.complete(begun["file_id"], parts)).status_code == 200
    assert (await tus.ask("HEAD", path)).headers["upload-offset"] == str(len(PNG))


@pytest.mark.thorough
async def test_an_upload_can_be_given_up(api: Api, bruno: Client) -> None:
    begun = await bruno.initiate()
    path = f"/v1/files/{begun['file_id']}"
    assert (await Tus(api, bruno.who).ask("DELETE", path)).status_code == 204
    check_problem(await bruno.parts(begun["file_id"]), 404)


async def test_one_machine_says_that_it_is_not_possible(api: Api) -> None:
    who = await api.sign_in("bruno")
    path = "/v1/files/01980f4e-9b2a-7c31-8d44-5a1f2e3d4c5b"
    for method, route in [
        ("POST", "/v1/files/initiate"),
        ("POST", f"{path}/complete"),
        ("GET", f"{path}/parts"),
    ]:
        body = {"size": 5, "parts": []} if method == "POST" else None
        problem = check_problem(
            await api.gateway.request(method, route, json=body, headers=who), 501
        )
        assert "use tus" in problem["detail"]
        check_problem(await api.gateway.request(method, route, json=body), 401)
