"""The npm package: what is in it, and how large it is."""

import gzip
import json
import re

from tests.javascript.node import CLIENT, MODULE

GZIPPED_MAX = 12_000


def test_the_module_is_small_as_it_stands() -> None:
    assert len(gzip.compress(MODULE.read_bytes(), 9)) <= GZIPPED_MAX


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
