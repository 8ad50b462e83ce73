"""Staying signed in, devices, and keys that change."""

import asyncio
import time
import uuid
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import jwt
import pytest
from click.testing import CliRunner

from chat4all.adapters.crypto.secret import BYTES_MIN
from chat4all.cli import main
from chat4all.usecases import profiles
from tests.api.conftest import CHAT, Api, running
from tests.clocks import Clock

pytestmark = pytest.mark.anyio


async def sign_in(
    api: Api, username: str = "bruno", password: str = "test", **headers: str
) -> dict[str, Any]:
    form = {"username": username, "password": password}
    answer = await api.gateway.post("/token", data=form, headers=headers)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def refresh(api: Api, token: str) -> httpx.Response:
    form = {"grant_type": "refresh_token", "refresh_token": token}
    return await api.gateway.post("/token", data=form)


def bearer(granted: dict[str, Any]) -> dict[str, str]:
    return {"Authorization": f"Bearer {granted['access_token']}"}


async def status(api: Api, granted: dict[str, Any]) -> int:
    return (await api.gateway.get("/v1/me", headers=bearer(granted))).status_code


async def test_a_refresh_gives_the_next_tokens_of_the_same_session(api: Api) -> None:
    first = await sign_in(api)
    assert (first["token_type"], first["expires_in"]) == ("bearer", 1800)
    answer = await refresh(api, first["refresh_token"])
    assert answer.headers["Cache-Control"] == "no-store"
    second = answer.json()
    assert set(second) == {"access_token", "token_type", "expires_in", "refresh_token"}
    assert second["refresh_token"] != first["refresh_token"]
    # The access token before lasts until it expires; it is of the same session.
    assert [await status(api, one) for one in (first, second)] == [200, 200]
    devices = (await api.gateway.get("/v1/sessions", headers=bearer(second))).json()
    assert [one["current"] for one in devices] == [True]


async def test_a_spent_token_ends_the_session_and_no_other(api: Api) -> None:
    other, first = await sign_in(api), await sign_in(api)
    second = (await refresh(api, first["refresh_token"])).json()
    third = (await refresh(api, second["refresh_token"])).json()
    again = await refresh(api, first["refresh_token"])
    assert again.status_code == 400
    assert (await refresh(api, third["refresh_token"])).status_code == 400
    assert [await status(api, one) for one in (first, second, other)] == [401, 401, 200]
    assert (await refresh(api, other["refresh_token"])).status_code == 200


async def test_a_refresh_whose_answer_was_lost_is_repeated(api: Api) -> None:
    token = (await sign_in(api))["refresh_token"]
    lost, again = [(await refresh(api, token)).json() for _ in range(2)]
    assert again["refresh_token"] == lost["refresh_token"] != token
    assert await status(api, again) == 200
    following = await refresh(api, again["refresh_token"])
    assert following.status_code == 200
    assert await status(api, following.json()) == 200
    # Its successor is used now: whoever still has this one may have stolen it.
    assert (await refresh(api, token)).status_code == 400
    assert await status(api, again) == 401


async def test_many_who_refresh_at_once_get_the_same_token(api: Api) -> None:
    token = (await sign_in(api))["refresh_token"]
    answers = await asyncio.gather(*[refresh(api, token) for _ in range(20)])
    assert {a.status_code for a in answers} == {200}
    assert len({a.json()["refresh_token"] for a in answers}) == 1
    assert {await status(api, answer.json()) for answer in answers} == {200}


@pytest.mark.thorough
async def test_a_refresh_is_repeated_after_the_key_has_changed(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    async with running(folder) as api:
        token = (await sign_in(api))["refresh_token"]
        lost = (await refresh(api, token)).json()
    rotated = await asyncio.to_thread(
        CliRunner().invoke, main, ["secrets", str(folder), "--rotate"]
    )
    assert rotated.exit_code == 0, rotated.output
    async with running(folder) as api:
        again = (await refresh(api, token)).json()
        assert again["refresh_token"] == lost["refresh_token"]
        assert (await refresh(api, again["refresh_token"])).status_code == 200


@pytest.mark.parametrize(
    "token", ["x", "", "a.b", "é" * 22 + "." + "x" * 43, "A" * 22 + "." + "B" * 43]
)
async def test_what_is_no_refresh_token_is_refused(api: Api, token: str) -> None:
    answer = await refresh(api, token)
    assert answer.status_code == (400 if token else 422)
    assert not token or token not in answer.text


@pytest.mark.parametrize(
    ("form", "pointers"),
    [
        ({}, ["/username", "/password"]),
        ({"username": "bruno"}, ["/password"]),
        ({"grant_type": "refresh_token"}, ["/refresh_token"]),
        ({"grant_type": "magic"}, ["/grant_type"]),
    ],
)
async def test_what_a_grant_needs(api: Api, form: dict[str, str], pointers: list[str]) -> None:
    answer = await api.gateway.post("/token", data=form)
    assert answer.status_code == 422
    assert [e["pointer"] for e in answer.json()["errors"]] == pointers


async def test_signing_out_ends_the_refresh_token_too(api: Api) -> None:
    granted = await sign_in(api)
    answer = await api.gateway.post("/v1/logout", headers=bearer(granted))
    assert answer.status_code == 204
    assert (await refresh(api, granted["refresh_token"])).status_code == 400
    assert await status(api, granted) == 401


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("Jos\u00e9\u2019s phone", "Jos\u00e9\u2019s phone"),
        ("Jose\u0301\u2019s phone", "Jos\u00e9\u2019s phone"),
        (b"Jos\xe9's phone", "Jos's phone"),  # latin-1
        ("a\u202ephone\u2028", "aphone"),
        ("\u200b\u2800", ""),
        ("\u00e9" * 300, "\u00e9" * 200),
    ],
)
async def test_a_device_is_named_in_utf_8(api: Api, said: str | bytes, shown: str) -> None:
    form = {"username": "bruno", "password": "test"}
    name = said if isinstance(said, bytes) else said.encode()
    answer = await api.gateway.post("/token", data=form, headers=[(b"User-Agent", name)])
    headers = bearer(answer.json())
    listed = (await api.gateway.get("/v1/sessions", headers=headers)).json()
    assert [one["device"] for one in listed if one["current"]] == [shown]


async def test_devices_are_listed_and_ended(api: Api) -> None:
    phone = await sign_in(api, **{"User-Agent": "A telephone\t1.0 " + "x" * 300})
    laptop = await sign_in(api, **{"User-Agent": "A laptop"})
    await sign_in(api, "ana")
    listed = (await api.gateway.get("/v1/sessions", headers=bearer(laptop))).json()
    by_device = {one["device"]: one for one in listed}
    assert len(listed) == 2
    assert by_device["A laptop"]["current"]
    (name,) = set(by_device) - {"A laptop"}
    assert name.startswith("A telephone1.0 xxx")
    assert len(name) == 200
    of_phone = by_device[name]
    assert not of_phone["current"]
    for key in ("created_at", "last_used_at", "expires_at"):
        assert of_phone[key].endswith("Z")
    path = f"/v1/sessions/{of_phone['session_id']}"
    assert (await api.gateway.delete(path, headers=bearer(laptop))).status_code == 204
    assert await status(api, phone) == 401
    assert (await refresh(api, phone["refresh_token"])).status_code == 400
    assert await status(api, laptop) == 200


async def test_anothers_session_and_none_get_the_same_answer(api: Api) -> None:
    bruno, ana = await sign_in(api), await sign_in(api, "ana")
    (hers,) = (await api.gateway.get("/v1/sessions", headers=bearer(ana))).json()
    seen = []
    for session in (hers["session_id"], str(uuid.uuid4())):
        answer = await api.gateway.delete(f"/v1/sessions/{session}", headers=bearer(bruno))
        problem = answer.json()
        del problem["request_id"], problem["instance"]
        seen.append((answer.status_code, problem))
    assert seen[0] == seen[1]
    assert seen[0][0] == 404
    assert await status(api, ana) == 200


async def test_a_new_password_ends_the_other_sessions(api: Api) -> None:
    here, there = await sign_in(api), await sign_in(api)
    change = {"password": "a longer one", "current_password": "test"}
    answer = await api.gateway.patch("/v1/users/bruno", json=change, headers=bearer(here))
    assert answer.status_code == 200
    await until_refused(api, there)
    assert (await refresh(api, there["refresh_token"])).status_code == 400
    assert await status(api, here) == 200
    assert (await refresh(api, here["refresh_token"])).status_code == 200
    form = {"username": "bruno", "password": "test"}
    assert (await api.gateway.post("/token", data=form)).status_code == 401


async def test_a_new_password_needs_the_current_one_unless_one_has_just_signed_in(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    granted = await sign_in(api)
    change = {"password": "a longer one"}
    monkeypatch.setattr(profiles, "JUST_SIGNED_IN_SECONDS", -1)
    granted = (await refresh(api, granted["refresh_token"])).json()
    answer = await api.gateway.patch("/v1/users/bruno", json=change, headers=bearer(granted))
    assert [e["pointer"] for e in answer.json()["errors"]] == ["/current_password"]
    broken = {"display_name": " x", "email": "q", "password": "short"}
    answer = await api.gateway.patch("/v1/users/bruno", json=broken, headers=bearer(granted))
    assert {e["pointer"] for e in answer.json()["errors"]} == {*map("/{}".format, broken)} | {
        "/current_password"
    }
    monkeypatch.undo()
    wrong = change | {"current_password": "wrong"}
    answer = await api.gateway.patch("/v1/users/bruno", json=wrong, headers=bearer(granted))
    assert answer.status_code == 403
    answer = await api.gateway.patch("/v1/users/bruno", json=change, headers=bearer(granted))
    assert answer.status_code == 200
    assert (await sign_in(api, password="a longer one"))["access_token"]


async def test_a_clock_that_was_ahead_spares_nobody_the_current_password(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who finds a device a day later does not know it."""
    granted = await sign_in(api)
    signed_in = time.time()
    change = {"password": "a longer one"}
    for ahead, status_code in ((86_400, 422), (5, 200)):  # by so much, two gateways' clocks differ
        clock = SimpleNamespace(time=Clock(signed_in - ahead))
        monkeypatch.setattr(profiles, "time", clock)
        answer = await api.gateway.patch("/v1/users/bruno", json=change, headers=bearer(granted))
        monkeypatch.undo()
        assert answer.status_code == status_code, answer.text


async def until_refused(api: Api, granted: dict[str, Any]) -> None:
    """Return once a token is refused, which takes 5 s at most."""
    async with asyncio.timeout(5):
        while await status(api, granted) != 401:
            await asyncio.sleep(0.01)


async def test_nothing_that_can_be_used_is_in_the_database(tmp_path: Path) -> None:
    async with running(tmp_path / "data") as api:
        granted = await sign_in(api)
        tokens = [granted["refresh_token"]]
        tokens.append((await refresh(api, tokens[0])).json()["refresh_token"])
        files = b"".join(file.read_bytes() for file in (tmp_path / "data").glob("metadata.db*"))
        for token in tokens:
            for part in (token, *token.split(".")):
                assert part.encode() not in files


async def test_an_access_token_ends_with_its_session_at_the_latest(tmp_path: Path) -> None:
    minutes = 3 * 24 * 60
    settings: dict[str, Any] = {"session_days": 1, "access_token_expire_minutes": minutes}
    async with running(tmp_path / "data", **settings) as api:
        granted = await sign_in(api)
        assert granted["expires_in"] == 24 * 60 * 60


async def test_the_key_changes_while_people_are_signed_in(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    tokens = []
    for _ in range(3):
        async with running(folder) as api:
            tokens.append(await sign_in(api))
            expected = [401] * (len(tokens) - 2) + [200] * min(2, len(tokens))
            assert [await status(api, one) for one in tokens] == expected
        rotated = CliRunner().invoke(main, ["secrets", str(folder), "--rotate"])
        assert rotated.exit_code == 0, rotated.output
    kids = [jwt.get_unverified_header(one["access_token"])["kid"] for one in tokens]
    assert len(set(kids)) == 3
    for name in ("secret-key", "secret-key.previous"):
        assert (folder / name).stat().st_mode & 0o777 == 0o600
    assert not (folder / "secret-key.next").exists()


async def test_a_prepared_key_is_accepted_before_it_signs(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    async with running(folder):
        pass
    prepared = CliRunner().invoke(main, ["secrets", str(folder), "--prepare"])
    assert prepared.exit_code == 0, prepared.output
    future = (folder / "secret-key.next").read_bytes()
    assert len(future) >= BYTES_MIN
    async with running(folder) as api:
        granted = await sign_in(api)
        claims = jwt.decode(granted["access_token"], options={"verify_signature": False})
        assert claims["exp"] > time.time()
        early = {"access_token": jwt.encode(claims, future, "HS256")}
        assert [await status(api, one) for one in (granted, early)] == [200, 200]
        wrong = {"access_token": jwt.encode(claims, future, "HS256", {"kid": "another"})}
        assert await status(api, wrong) == 401
    CliRunner().invoke(main, ["secrets", str(folder), "--rotate"])
    assert (folder / "secret-key").read_bytes() == future
    async with running(folder) as api:
        assert [await status(api, one) for one in (granted, early)] == [200, 200]
        assert await api.history(bearer(early), chat=CHAT) == []
