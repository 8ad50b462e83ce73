"""The fast routes of files: which handler answers which method of which path."""

from collections.abc import Sequence
from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.types import Receive, Scope, Send

from chat4all.domain.acting import Actor
from chat4all.domain.files import FileId
from chat4all.domain.ids import Username
from chat4all.gateway.files.downloads import Downloads
from chat4all.gateway.files.paths import (
    FILE_PATH,
    FILES_PATH,
    LINK_PARAMETER,
    THUMBNAIL_PATH,
    file_in,
    query_of,
    thumbnail_in,
)
from chat4all.gateway.files.thumbnails import Thumbnails
from chat4all.gateway.files.transfers import Transfers
from chat4all.gateway.files.tus import Tus
from chat4all.http.access_log import CALLER
from chat4all.http.bearer import bearer_token
from chat4all.http.fast_routes import FastRoute
from chat4all.http.limits import Limits
from chat4all.http.methods import WAS_HEAD, allow
from chat4all.http.outcomes import BYTES, LOOK, REMOVAL, UPLOAD
from chat4all.http.problems import BadRequest, problem_response
from chat4all.usecases.bodies import BodyBroken
from chat4all.usecases.downloading import Downloading
from chat4all.usecases.picturing import Picturing
from chat4all.usecases.signing_in import SigningIn
from chat4all.usecases.uploading import Uploading

_OF_ALL = ("OPTIONS", "POST")
"""Beside GET, which lists a user's files: the application has that."""

_OF_FILE = ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH")
_OF_THUMBNAIL = ("GET", "HEAD")
_OVERRIDDEN = ("DELETE", "HEAD", "PATCH")
"""What `X-HTTP-Method-Override` may make of a POST."""

ADVICE = {
    f"POST {FILES_PATH}": UPLOAD,
    f"HEAD {FILE_PATH}": LOOK,
    f"PATCH {FILE_PATH}": BYTES,
    f"DELETE {FILE_PATH}": REMOVAL,
}
"""What is right when the outcome is unknown; see `outcomes`."""

_NONE_HERE = (
    "this installation keeps no files: no store for them is set up, see docs/operations/files.md"
)


def files_routes(
    signing_in: SigningIn,
    uploading: Uploading,
    downloading: Downloading,
    picturing: Picturing,
    limits: Limits,
    transfers: Transfers,
) -> Sequence[FastRoute]:
    """Return the routes of files."""
    endpoint = _FilesEndpoint(signing_in, uploading, downloading, picturing, limits, transfers)
    # The more specific path first: it begins as the other one does.
    return [FastRoute(path, None, endpoint) for path in (FILES_PATH, THUMBNAIL_PATH, FILE_PATH)]


def no_files_routes() -> Sequence[FastRoute]:
    """Return what answers where there is no store for files."""
    return [_ROUTE_OF_ALL, _ROUTE_OF_THUMBNAIL, _ROUTE_OF_FILE]


class _FilesEndpoint:
    def __init__(
        self,
        signing_in: SigningIn,
        uploading: Uploading,
        downloading: Downloading,
        picturing: Picturing,
        limits: Limits,
        transfers: Transfers,
    ) -> None:
        self._signing_in = signing_in
        self._tus = Tus(uploading)
        self._downloads = Downloads(downloading)
        self._thumbnails = Thumbnails(downloading, picturing)
        self._downloading = downloading
        self._limits = limits
        self._transfers = transfers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> bool:
        """Answer a request for a file, or with a problem; or decline."""
        file_id, pictured = file_in(scope["path"]), thumbnail_in(scope["path"])
        is_of_all = scope["path"] == FILES_PATH and scope["method"] != "GET"
        if file_id is None and pictured is None and not is_of_all:
            return False
        route = scope["route"] = _route(scope["path"])
        headers = Headers(scope=scope)
        try:
            if pictured is None:
                await self._answer(file_id, headers, scope, receive, send)
            else:
                await self._show(pictured, scope, receive, send)
        except BodyBroken:
            pass  # the client has gone
        except Exception as error:
            advice = ADVICE.get(f"{_method(scope, headers)} {route.path}")
            await problem_response(error, scope["path"], advice)(scope, receive, send)
        return True

    async def _show(self, file_id: FileId, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] not in _OF_THUMBNAIL:
            raise _other_method(_OF_THUMBNAIL)
        viewer = await self._viewer(file_id, scope)
        self._limits.download.take(scope, viewer)
        with self._transfers.downloading(scope, send) as counted:
            await self._thumbnails.answer(viewer, file_id, scope, receive, counted)

    async def _answer(
        self,
        file_id: FileId | None,
        headers: Headers,
        scope: Scope,
        receive: Receive,
        send: Send,
    ) -> None:
        method = _method(scope, headers)
        if method not in (_OF_ALL if file_id is None else _OF_FILE):
            raise _other_method((*_OF_ALL, "GET") if file_id is None else _OF_FILE)
        tus = self._tus
        if method == "OPTIONS":
            await tus.options(send)
            return
        if file_id is not None and (
            method == "GET" or (method == "HEAD" and "tus-resumable" not in headers)
        ):
            viewer = await self._viewer(file_id, scope)
            self._limits.download.take(scope, viewer)
            with self._transfers.downloading(scope, send) as counted:
                await self._downloads.answer(viewer, file_id, scope, receive, counted)
            return
        tus.check_version(scope, headers)
        owner = await self._caller(scope)
        self._limits.upload.take(scope, owner)
        if file_id is None:
            with self._transfers.uploading(scope, receive) as arriving:
                await tus.create(owner, scope, headers, arriving, send)
        elif method == "HEAD":
            await tus.head(owner, file_id, send)
        elif method == "PATCH":
            with self._transfers.uploading(scope, receive) as arriving:
                await tus.patch(owner, file_id, scope, headers, arriving, send)
        else:
            await tus.delete(owner, file_id, send)

    async def _viewer(self, file_id: FileId, scope: Scope) -> Username:
        if (links := query_of(scope).get(LINK_PARAMETER)) is not None:
            viewer = self._downloading.viewer_of(links[0], file_id)
            scope[CALLER] = Actor(viewer)
            return viewer
        return await self._caller(scope)

    async def _caller(self, scope: Scope) -> Username:
        session = scope[CALLER] = await self._signing_in.authenticate(bearer_token(scope))
        return session.username


def _other_method(methods: Sequence[str]) -> BadRequest:
    return BadRequest(
        HTTPStatus.METHOD_NOT_ALLOWED,
        "this route has other methods; see Allow",
        {"Allow": allow(methods)},
    )


def _route(path: str) -> FastRoute:
    """Return what metrics know a request by."""
    if path == FILES_PATH:
        return _ROUTE_OF_ALL
    return _ROUTE_OF_FILE if thumbnail_in(path) is None else _ROUTE_OF_THUMBNAIL


def _method(scope: Scope, headers: Headers) -> str:
    """Return the method that is meant: a POST may stand for one that a proxy does not pass on."""
    method: str = "HEAD" if scope.get(WAS_HEAD) else scope["method"]
    overridden = headers.get("x-http-method-override", "").strip().upper()
    return overridden if method == "POST" and overridden in _OVERRIDDEN else method


async def _refuse(scope: Scope, receive: Receive, send: Send) -> None:
    scope["route"] = _route(scope["path"])
    refused = BadRequest(HTTPStatus.NOT_IMPLEMENTED, _NONE_HERE)
    await problem_response(refused, scope["path"])(scope, receive, send)


_ROUTE_OF_ALL = FastRoute(FILES_PATH, None, _refuse)
_ROUTE_OF_FILE = FastRoute(FILE_PATH, None, _refuse)
_ROUTE_OF_THUMBNAIL = FastRoute(THUMBNAIL_PATH, None, _refuse)
