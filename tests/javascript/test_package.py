"""The npm package: what is in it, and how large it is."""

import gzip
import json
import re

from tests.javascript.node import CLIENT, MODULE, ROOT

GUIDE = ROOT / "docs" / "clients" / "javascript.md"


def test_the_modules_are_as_small_as_the_guide_says() -> None:
    (first, later) = re.findall(r"at most (\d+) KB", GUIDE.read_text().partition("##")[0])
    assert int(first) <= 12
    for module, most in ((MODULE, first), (CLIENT / "chat4all-files.js", later)):
        assert len(gzip.compress(module.read_bytes(), 9)) <= int(most) * 1000, module.name


def test_the_module_needs_nothing_else() -> None:
    text = re.sub(r"/\*\*.*?\*/", "", MODULE.read_text(), flags=re.DOTALL)
    assert not re.search(r"^import\b|\brequire\(", text, re.MULTILINE)
    # What sends files is loaded when files are sent.
    assert re.findall(r"\bimport\((.*?)\)", text) == ['"./chat4all-files.js"']


def test_the_package_names_what_there_is() -> None:
    package = json.loads((CLIENT / "package.json").read_text())
    assert package["name"] == "chat4all-client"
    assert not [key for key in package if "ependencies" in key]
    assert package["engines"] == {"node": ">=20.3"}  # the first with AbortSignal.any
    exported = package["exports"]["."]
    assert exported == {"types": "./chat4all.d.ts", "default": "./chat4all.js"}
    assert all((CLIENT / file).is_file() for file in package["files"])


def test_the_license_is_the_same() -> None:
    assert (CLIENT / "LICENSE").read_bytes() == (CLIENT.parents[1] / "LICENSE").read_bytes()
