"""`/` and `/page/…`: the chat page, from memory."""

import asyncio
from collections.abc import Callable
from html import escape

from fastapi import APIRouter, Request, Response

from chat4all.domain.errors import NotFound
from chat4all.gateway.page.files import INDEX, LOADER, PageFile, PageFiles, file_of, page_files
from chat4all.http.conditions import matches, takes_gzip
from chat4all.http.frame import add_headers
from chat4all.usecases.demonstrating import PASSWORD, USERS

PAGE_PATH = "/"
FILES_PATH = "/page/"

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "media-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types lit-html"
)
"""The page's Content-Security-Policy: its own files, nothing inline, and no markup out of text but
that of its templates."""

_CHECK_AGAIN = "no-cache"
_FOR_EVER = "public, max-age=31536000, immutable"
_NEVER = (b"cache-control", b"no-store")


def page_routes(
    *,
    has_demonstration: bool,
    sign_up_open: bool,
    files: Callable[[], PageFiles] = page_files,
) -> APIRouter:
    """Return the routes of the page, which offers the demonstration accounts where there are some.

    The files' addresses have their version in them, so that they are kept for ever and those of two
    versions are never mixed. While gateways are updated, one of another version does not have them:
    the loader, whose address stays the same, then tries again. They are read at the first request,
    not at every start.
    """
    index: PageFile | None = None
    router = APIRouter(include_in_schema=False)

    @router.get(PAGE_PATH)
    async def page(request: Request) -> Response:
        nonlocal index
        if index is None:
            found = await asyncio.to_thread(files)
            content = _index(found, has_demonstration=has_demonstration, sign_up_open=sign_up_open)
            index = file_of(INDEX, content)
        return _answer(request, index, _CHECK_AGAIN)

    @router.get(FILES_PATH + LOADER)
    async def loader(request: Request) -> Response:
        found = await asyncio.to_thread(files)
        return _answer(request, found.files[LOADER], _CHECK_AGAIN)

    @router.get(FILES_PATH + "{version}/{name:path}")
    async def file(request: Request, version: str, name: str) -> Response:
        found = await asyncio.to_thread(files)
        asked = found.files.get(name)
        if asked is None or version != found.version or name in (INDEX, LOADER):
            add_headers(request.scope, _NEVER)
            raise NotFound("no such file of this version")
        return _answer(request, asked, _FOR_EVER)

    return router


def _index(found: PageFiles, *, has_demonstration: bool, sign_up_open: bool) -> bytes:
    modules = [name for name in found.files if name.endswith(".js") and name != LOADER]
    offered = f"{' '.join(USERS)} {PASSWORD}" if has_demonstration else ""
    values = {
        "loader": f"{FILES_PATH}{LOADER}",
        "files": f"{FILES_PATH}{found.version}",
        "modules": "\n".join(
            f'<link rel="modulepreload" href="{FILES_PATH}{found.version}/{escape(name)}">'
            for name in modules
        ),
        "demonstration": offered,
        "sign_up": "open" if sign_up_open else "closed",
    }
    text = found.files[INDEX].content.decode()
    for name, value in values.items():
        text = text.replace("{{" + name + "}}", value)
    return text.encode()


def _answer(request: Request, file: PageFile, kept: str) -> Response:
    content, tag = file.content, file.etag
    headers = {"Cache-Control": kept, "Vary": "Accept-Encoding"}
    if file.gzipped is not None and takes_gzip(request.headers.get("Accept-Encoding", "")):
        # Other bytes have another tag: a cache must not join a part of one to one of the other.
        content, tag = file.gzipped, f'{tag[:-1]}-gzip"'
        headers["Content-Encoding"] = "gzip"
    headers["ETag"] = tag
    if matches(request.headers.get("If-None-Match", ""), tag):
        headers.pop("Content-Encoding", None)
        return Response(status_code=304, headers=headers)
    return Response(content, headers=headers, media_type=file.media_type)
