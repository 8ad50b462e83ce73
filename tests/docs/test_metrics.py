"""The table of metrics in the documentation, compared with what is exposed."""

import re
from pathlib import Path

import pytest

from chat4all.adapters.prometheus.files import STORE
from chat4all.adapters.prometheus.router import ROUTING
from chat4all.adapters.prometheus.service import READS
from tests.api.conftest import CHAT, running
from tests.api.test_metrics import families

pytestmark = pytest.mark.anyio


def documented() -> dict[str, tuple[str, set[str]]]:
    """Return (type, labels) by name."""
    page = Path("docs/operations/metrics.md").read_text()
    rows = re.findall(r"^\| `([a-z0-9_]+)` \| ([a-z]+) \| (.*?) ?\| ", page, re.MULTILINE)
    return {name: (kind, set(re.findall("`([a-z]+)`", labels))) for name, kind, labels in rows}


async def test_the_table_is_what_is_exposed(tmp_path: Path) -> None:
    async with running(tmp_path / "data") as api:
        bruno = await api.sign_in("bruno")
        await api.send(bruno)
        await api.gateway.post("/v1/messages", json={"chat_id": CHAT})
        await api.routed()
        found = await families(api.gateway)
        of_metadata = await families(api.metadata)
    table = documented()
    seen = {}
    for family in found.values():
        ignored = {"le"} if family.type == "histogram" else set()
        name = family.name + ("_total" if family.type == "counter" else "")
        labels = {k for s in family.samples for k in s.labels} - ignored
        # One of which there is nothing to count yet shows no labels.
        seen[name] = (family.type, labels if family.samples else table[name][1])
    assert seen == table
    assert of_metadata.keys() < found.keys()


def test_the_operations_are_those_that_are_measured() -> None:
    page = " ".join(Path("docs/operations/metrics.md").read_text().split())
    measured = {"store_read": READS, "files_store": STORE, "router_store": ROUTING}
    for prefix, operations in measured.items():
        (listed,) = re.findall(rf"- `chat4all_{prefix}_…`: (.*?)\.", page)
        assert listed == ", ".join(f"`{operation}`" for operation in operations)
