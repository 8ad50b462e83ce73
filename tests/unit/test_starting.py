"""A start collects no garbage, and a service that serves does."""

import gc
import importlib
import subprocess
import sys

import pytest

from chat4all.operations.starting import starting


@pytest.mark.slow
def test_garbage_is_collected_again_once_requests_are_accepted() -> None:
    """In a process of its own: in this one there is much to walk through."""
    code = (
        "import asyncio, gc\n"
        "from chat4all.http.server.serving import serve\n"
        "from chat4all.operations.starting import starting\n"
        "async def main():\n"
        "    works = asyncio.get_running_loop().create_future()\n"
        "    await serve([], works, lambda: print(gc.isenabled()))\n"
        "with starting():\n"
        "    print(gc.isenabled())\n"
        "    asyncio.run(main())"
    )
    assert _printed(code).split() == ["False", "True"]


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
def test_routes_are_made_without_pydantic_v1() -> None:
    """FastAPI asks of each annotation whether it comes from there."""
    code = (
        "import sys\n"
        "from chat4all.operations.starting import starting\n"
        "with starting():\n"
        "    from chat4all.http.routes import api_router\n"
        "    from pydantic import BaseModel\n"
        "    class Body(BaseModel):\n"
        "        text: str\n"
        "    @api_router('x').post('/x')\n"
        "    def route(body: Body) -> Body: return body\n"
        "print(sys.modules['pydantic.v1'])"
    )
    assert _printed(code).strip() == "None"


def _printed(code: str) -> str:
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return ran.stdout
