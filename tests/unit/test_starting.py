"""A start collects no garbage, and a service that serves does."""

import asyncio
import gc
import importlib
import subprocess
import sys

import pytest

from chat4all.http.server.serving import serve
from chat4all.operations.starting import starting


async def _served() -> list[bool]:
    """Serve nothing until it is stopped at once; return whether garbage was collected then."""
    found: list[bool] = []
    works = asyncio.get_running_loop().create_future()
    await serve([], works, lambda: found.append(gc.isenabled()))
    return found


def test_garbage_is_collected_again_once_requests_are_accepted() -> None:
    thresholds = gc.get_threshold()
    try:
        with starting():
            assert not gc.isenabled()
            assert asyncio.run(_served()) == [True]
    finally:
        gc.unfreeze()
        gc.set_threshold(*thresholds)


def test_a_start_that_is_refused_leaves_collections_on() -> None:
    with pytest.raises(ValueError, match="refused"), starting():
        raise ValueError("refused")
    assert gc.isenabled()


def test_no_start_loads_pydantic_v1(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "pydantic.v1", raising=False)
    with starting(), pytest.raises(ModuleNotFoundError):
        importlib.import_module("pydantic.v1")
    monkeypatch.delitem(sys.modules, "pydantic.v1")


@pytest.mark.slow
def test_what_a_start_loads() -> None:
    """What only commands, benchmarks and migrations need is not in the memory of a service."""
    code = (
        "import sys\n"
        "from chat4all.operations.starting import starting\n"
        "with starting():\n"
        "    from chat4all.processes import one_machine\n"
        "    from chat4all.http.routes import api_router\n"
        "    from pydantic import BaseModel\n"
        "    class Body(BaseModel):\n"
        "        text: str\n"
        "    @api_router('x').post('/x')\n"
        "    def route(body: Body) -> Body: return body\n"
        "unwanted = {'alembic', 'httpx2', 'matplotlib', 'rich', 'websockets.asyncio'}\n"
        "print(sorted(unwanted & sys.modules.keys()), sys.modules['pydantic.v1'])"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert loaded.stdout.strip() == "[] None"
