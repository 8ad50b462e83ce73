"""The chat page's files: how they are served, and that they are whole."""

import gzip
import hashlib
import re
import shutil
from collections.abc import AsyncIterator
from pathlib import Path, PurePosixPath

import pytest

from chat4all.gateway.page.files import CHECKOUT, CLIENT, LOADER, STATIC, page_files
from tests.api.conftest import Api, running

pytestmark = pytest.mark.anyio

VENDORED = {
    "LICENSE": "2b66f9390afde29edfe4314daff93f01fb182e1178053e228120178987e5db75",
    "directive-helpers.js": "f7fb1154b8f72ed2cc08b05eaeed71c99270e9ad2d48620ed24688a1af4c2b62",
    "directive.js": "3344c4f41c69cd0701d3937e8f9ef90bd845614bf6456d0b8314b7c51d415b9d",
    "directives/live.js": "b305f9066319d838db797abd5a4d871537277e25f35332702bfce4452c020ecf",
    "directives/repeat.js": "083140026ecd8665fedd15b17769f9d516252a9f1502f1e91e6967686ee82626",
    "lit-html.js": "b878e7f95dec8a9b6e9b217faca6b6a11bad82ebc44c0caa77419ed83edd81f2",
}
"""SHA-256 of the files of lit-html 3.3.3, as npm has them."""

VENDOR = STATIC / "vendor" / "lit-html"
MODULES = {
    str(PurePosixPath(path.relative_to(STATIC).as_posix())): path.read_text()
    for path in STATIC.rglob("*.js")
}
LOADER_URL = f"/page/{LOADER}"
OWN = {name: text for name, text in MODULES.items() if not name.startswith("vendor/")}


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    async with running(tmp_path / "data") as found:
        yield found


async def test_the_page_allows_its_own_files_only(api: Api) -> None:
    page = await api.gateway.get("/")
    assert page.status_code == 200
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    policy = dict(
        part.strip().partition(" ")[::2]
        for part in page.headers["Content-Security-Policy"].split(";")
    )
    assert policy["default-src"] == "'none'"
    assert {policy[name] for name in ("script-src", "style-src", "connect-src")} == {"'self'"}
    assert {policy[name] for name in ("img-src", "media-src")} == {"'self'"}
    assert policy["frame-ancestors"] == policy["base-uri"] == policy["form-action"] == "'none'"
    assert policy["require-trusted-types-for"] == "'script'"
    assert "unsafe" not in page.headers["Content-Security-Policy"]
    assert re.findall(r"<script(?! (?:type=\"module\" )?src=)", page.text) == []
    assert re.findall(r"<style|\sstyle=|\son\w+=", page.text) == []


async def test_everything_that_the_page_names_is_there_and_is_kept(api: Api) -> None:
    page = (await api.gateway.get("/")).text
    assert "{{" not in page
    named = set(re.findall(r'(?:src|href)="([^"]+)"', page)) - {"/docs"}
    assert {url.rpartition("/")[2] for url in named} >= {"main.js", "chat4all.js", "base.css"}
    for url in named:
        assert url.startswith("/page/"), url
        answer = await api.gateway.get(url)
        assert answer.status_code == 200, url
        kept = "no-cache" if url == LOADER_URL else "public, max-age=31536000, immutable"
        assert answer.headers["Cache-Control"] == kept
        assert answer.headers["X-Content-Type-Options"] == "nosniff"


async def test_every_module_that_is_imported_is_there_and_loaded_ahead(api: Api) -> None:
    page = (await api.gateway.get("/")).text
    files = page_files().files
    for name, text in MODULES.items():
        assert f"/{name}" in page, f"{name} is not loaded ahead"
        # Minified modules have no space.
        for target in re.findall(r"(?:from|import) ?\"([^\"]+)\"", text):
            assert target.startswith("."), (name, target)
            found = (STATIC / name).parent.joinpath(target).resolve().relative_to(STATIC)
            assert found.as_posix() in files, (name, target)


def test_all_modules_together_are_as_small_as_the_guide_says() -> None:
    guide = (CHECKOUT.parents[1] / "docs" / "clients" / "page.md").read_text()
    (most,) = re.findall(r"at most (\d+) KB gzipped", guide)
    modules = [file for name, file in page_files().files.items() if name.endswith(".js")]
    size = sum(len(module.gzipped or module.content) for module in modules)
    assert size <= int(most) * 1000


async def test_the_client_is_the_one_that_everybody_gets(api: Api) -> None:
    for name in CLIENT:
        url = f"/page/{page_files().version}/{name}"
        assert (await api.gateway.get(url)).content == (CHECKOUT / name).read_bytes()


async def test_a_file_is_compressed_for_those_who_take_it(api: Api) -> None:
    url = f"/page/{page_files().version}/main.js"
    plain = await api.gateway.get(url, headers={"Accept-Encoding": "identity"})
    assert "Content-Encoding" not in plain.headers
    assert plain.content == (STATIC / "main.js").read_bytes()
    packed = page_files().files["main.js"].gzipped
    assert packed is not None
    assert len(packed) < len(plain.content)
    assert gzip.decompress(packed) == plain.content
    small = await api.gateway.get(url, headers={"Accept-Encoding": "gzip"})
    assert small.headers["Content-Encoding"] == "gzip"
    assert small.headers["Vary"] == plain.headers["Vary"] == "Accept-Encoding"
    assert int(small.headers["Content-Length"]) == len(packed)


async def test_a_compressed_file_is_sent_to_nobody_who_refuses_it(api: Api) -> None:
    url = f"/page/{page_files().version}/main.js"

    async def coding(accepted: str) -> str | None:
        answer = await api.gateway.get(url, headers={"Accept-Encoding": accepted})
        found: str | None = answer.headers.get("Content-Encoding")
        return found

    for accepted in ("gzip", "br, GZIP;q=0.5", "*", "deflate;q=1.0, gzip ; q=0.001"):
        assert await coding(accepted) == "gzip", accepted
    for accepted in ("gzip;q=0", "*, gzip;q=0.000", "*;q=0", "not-gzip", "", "br", "gzip;q=x"):
        assert await coding(accepted) is None, accepted


async def test_each_form_of_a_file_has_its_own_tag(api: Api) -> None:
    """A cache that joins parts of both under one tag has neither."""
    url = f"/page/{page_files().version}/main.js"
    plain: dict[str, str] = {"Accept-Encoding": "identity"}
    small: dict[str, str] = {"Accept-Encoding": "gzip"}
    tags = [(await api.gateway.get(url, headers=one)).headers["ETag"] for one in (plain, small)]
    assert tags[0] != tags[1]
    for form, tag, other in ((plain, tags[0], tags[1]), (small, tags[1], tags[0])):
        for condition in (tag, f"W/{tag}", f"{other}, {tag}", "*"):
            answer = await api.gateway.get(url, headers=form | {"If-None-Match": condition})
            assert (answer.status_code, answer.content) == (304, b""), condition
            assert answer.headers["ETag"] == tag
            assert answer.headers["Vary"] == "Accept-Encoding"
            assert "Content-Encoding" not in answer.headers
        for condition in (other, tag.strip('"')):
            answer = await api.gateway.get(url, headers=form | {"If-None-Match": condition})
            assert answer.status_code == 200, condition


async def test_a_page_that_is_known_is_not_sent_again(api: Api) -> None:
    first = await api.gateway.get("/")
    assert first.headers["Cache-Control"] == "no-cache"
    again = await api.gateway.get("/", headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["Content-Security-Policy"] == first.headers["Content-Security-Policy"]
    other = await api.gateway.get("/", headers={"If-None-Match": '"another"'})
    assert other.status_code == 200


async def test_a_gateway_has_not_got_the_files_of_another_version(api: Api) -> None:
    """While gateways are updated one may be asked for the files of another's page."""
    answer = await api.gateway.get("/page/0000000000000000/main.js")
    assert answer.status_code == 404
    assert answer.headers["Cache-Control"] == "no-store"


def test_a_file_that_changes_makes_another_version(tmp_path: Path) -> None:
    changed = tmp_path / "static"
    shutil.copytree(STATIC, changed)
    assert page_files(changed).version == page_files().version
    with (changed / "style" / "base.css").open("a") as style:
        style.write("/* */")
    page_files.cache_clear()
    assert page_files(changed).version != page_files().version


@pytest.mark.parametrize(
    "name",
    ["nothing.js", "index.html", "loading.js", "../routes.py", "%2e%2e/routes.py", "", "core"],
)
async def test_nothing_else_is_served(api: Api, name: str) -> None:
    answer = await api.gateway.get(f"/page/{page_files().version}/{name}")
    assert answer.status_code == 404


async def test_a_start_does_not_wait_for_the_page(tmp_path: Path) -> None:
    page_files.cache_clear()
    async with running(tmp_path / "data") as api:
        assert page_files.cache_info().currsize == 0
        assert (await api.gateway.get("/")).status_code == 200
        assert page_files.cache_info().currsize == 1


async def test_it_can_be_off(tmp_path: Path) -> None:
    async with running(tmp_path / "data", page=False) as api:
        root = await api.gateway.get("/")
        assert (root.status_code, root.headers["Location"]) == (307, "/docs")
        answer = await api.gateway.get(f"/page/{page_files().version}/main.js")
        assert answer.status_code == 404


async def test_demonstration_accounts_are_offered_where_there_are_some(tmp_path: Path) -> None:
    for demo, offered in [(True, "bruno ana test"), (False, "")]:
        async with running(tmp_path / str(demo), new=True, demo=demo) as api:
            assert f'data-demonstration="{offered}"' in (await api.gateway.get("/")).text


async def test_signing_up_is_offered_where_it_is_open(tmp_path: Path) -> None:
    for is_open in ("open", "closed"):
        async with running(tmp_path / is_open, sign_up=is_open) as api:
            assert f'data-sign-up="{is_open}"' in (await api.gateway.get("/")).text


def test_what_is_vendored_is_what_was_published() -> None:
    files = {
        path.relative_to(VENDOR).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in VENDOR.rglob("*")
        if path.is_file()
    }
    assert files == VENDORED
    assert 'litHtmlVersions??=[]).push("3.3.3")' in (VENDOR / "lit-html.js").read_text()
    for name in files:
        if name.endswith(".js"):
            assert "SPDX-License-Identifier: BSD-3-Clause" in (VENDOR / name).read_text()


def test_nothing_is_named_that_is_elsewhere() -> None:
    """But a map, which is a link that a person may follow."""
    for path in STATIC.rglob("*"):
        if path.is_file() and not path.is_relative_to(VENDOR):
            for url in re.findall(r"https?://[\w.-]+", path.read_text()):
                assert url in ("http://www.w3.org", "https://www.openstreetmap.org"), path


def test_what_views_call_is_there() -> None:
    core = "".join(text for name, text in OWN.items() if name.startswith("core/"))
    methods = set(re.findall(r"^  (?:async )?(\w+)\(", core, re.MULTILINE))
    for name, text in OWN.items():
        called = set(re.findall(r"\bapp\.(\w+)\(", text))
        assert called <= methods, name


# Texts.


def texts(language: str) -> dict[str, str]:
    """Return a language's texts by their keys; of plurals all forms, one after the other."""
    found = re.findall(
        r"\b(\w+): (?:\"([^\"]*)\"|\{ one: \"([^\"]*)\", other: \"([^\"]*)\" \})",
        MODULES[f"texts/{language}.js"],
    )
    return {key: f"{text}{one}{other}" for key, text, one, other in found}


def placeholders(text: str) -> set[str]:
    return set(re.findall(r"\{(\w+)\}", text))


def test_both_languages_have_the_same_texts() -> None:
    english, portuguese = texts("en"), texts("pt-BR")
    assert len(english) > 100
    assert set(english) == set(portuguese)
    for key, text in english.items():
        assert placeholders(text) == placeholders(portuguese[key]), key


def test_every_text_is_there_that_is_used_and_none_besides() -> None:
    named, beginnings = set[str](), set[str]()
    for name, text in OWN.items():
        if name.startswith("texts/"):
            continue
        # As `t("key"`, or chosen by another name for the same: as a string of its own.
        named |= set(re.findall(r"\"(\w+)\"", text)) & set(texts("en"))
        for key in re.findall(r"\bt\(\"(\w+)\"", text):
            assert key in texts("en"), (name, key)
        beginnings |= set(re.findall(r"\bt\(`(\w+)\$\{", text))
    unused = {
        key
        for key in set(texts("en")) - named
        if not any(key.startswith(beginning) for beginning in beginnings)
    }
    assert unused == set()
