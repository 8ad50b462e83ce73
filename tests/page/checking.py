"""What axe says of a page."""

import json

from axe_playwright_python.sync_playwright import Axe

from tests.page.browsing import Window

SERIOUS = {"serious", "critical"}


def check(window: Window, name: str) -> None:
    """Take a picture; axe finds nothing serious."""
    window.picture(name)
    # Half a megabyte, which a page keeps until it is loaded again.
    axe = Axe("null") if window.page.evaluate("'axe' in globalThis") else Axe()
    found = axe.run(window.page).response["violations"]
    wrong = {
        one["id"]: [node["html"] for node in one["nodes"]]
        for one in found
        if one["impact"] in SERIOUS
    }
    assert wrong == {}, json.dumps(wrong, indent=1)
