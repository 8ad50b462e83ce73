"""Applications of one process: they share their routes, and nothing that the routes use."""

from pathlib import Path

import pytest

from chat4all.http import routes
from tests.api.conftest import Api, running

pytestmark = pytest.mark.anyio


async def test_a_further_application_analyses_no_route_anew(
    api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []
    # FastAPI's analysis of a route takes about a millisecond; there are some sixty.
    monkeypatch.setattr(routes._Route, "__init__", lambda _, path, *__, **___: made.append(path))
    async with running(tmp_path / "other") as other:
        bruno = await other.sign_in("bruno")
        assert (await other.metadata.get("/v1/me", headers=bruno)).status_code == 200
    # Each application has its own health and metrics.
    assert [path for path in made if path.startswith(("/v1/", "/token"))] == []


async def test_each_application_has_its_own_people_and_limits(api: Api, tmp_path: Path) -> None:
    async with running(tmp_path / "other", sign_ups_per_hour=1) as other:
        carla = await other.sign_up("carla")
        assert (await other.gateway.get("/v1/me", headers=carla)).json()["username"] == "carla"
        assert (await api.gateway.get("/v1/me", headers=carla)).status_code == 401
        refused = await other.metadata.post("/v1/users", json={})
        assert refused.status_code == 422  # counted only when it is well formed
        await api.sign_up("carla")
        body = {"username": "dora", "email": "dora@example.com", "password": "long enough"}
        assert (await other.metadata.post("/v1/users", json=body)).status_code == 429
        assert (await api.metadata.post("/v1/users", json=body)).status_code == 201
