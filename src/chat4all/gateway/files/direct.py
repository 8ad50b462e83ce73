"""`POST /v1/files/initiate` and `…/complete`: uploads straight to the store of files."""

from collections import Counter
from functools import cache
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from chat4all.domain.errors import FieldError, InvalidInput
from chat4all.domain.file_names import file_name
from chat4all.domain.people import Session
from chat4all.domain.times import format_milliseconds, format_seconds
from chat4all.gateway.files.new_uploads import new_upload
from chat4all.gateway.files.paths import COMPLETE_PATH, INITIATE_PATH, PARTS_PATH
from chat4all.gateway.files.tus_headers import declared_type
from chat4all.http.answers import json_response
from chat4all.http.bearer import caller
from chat4all.http.bound import bound
from chat4all.http.json_bodies import BodyReader
from chat4all.http.openapi import json_body, json_content, problem_meaning, problems
from chat4all.http.outcomes import COMPLETION, LOOK, UPLOAD, if_unknown
from chat4all.http.paths import FilePath
from chat4all.http.problems import BadRequest
from chat4all.http.routes import api_router
from chat4all.usecases.attaching import payload_of
from chat4all.usecases.direct_uploads import DirectUpload, DirectUploads
from chat4all.wire.files import (
    CompleteUpload,
    DirectPartView,
    DirectUploadView,
    FileView,
    InitiateUpload,
)

_initiating = BodyReader(InitiateUpload)
_completing = BodyReader(CompleteUpload)

NOT_HERE = (
    "files cannot be uploaded straight to the store here: use tus at /v1/files, see "
    "docs/clients/files.md"
)


_Direct = Annotated[DirectUploads, bound(DirectUploads)]
_Caller = Annotated[Session, Depends(caller)]

_NOT_HERE = problem_meaning(
    501, "Clients cannot reach the store here, or there is none: upload with tus."
)
_UPLOAD = {"content": json_content(DirectUploadView)}


@cache
def direct_routes() -> APIRouter:
    """Return the routes of uploads straight to the store."""
    router = api_router("Files")

    @router.post(
        INITIATE_PATH,
        summary="Begin an upload straight to the store",
        operation_id="initiate_upload",
        status_code=HTTPStatus.CREATED,
        response_class=Response,
        responses={
            201: {"description": "Begun. Send each part to its `url` with PUT.", **_UPLOAD},
            **problems(400, 401, 404, 415, 422, 503, 507),
            **problem_meaning(413, "Larger than a file may be, or than there is room for."),
            **_NOT_HERE,
        },
        openapi_extra=json_body(
            InitiateUpload, {"size": 20_000_000, "name": "praia.mp4", "media_type": "video/mp4"}
        ),
    )
    @if_unknown(UPLOAD)
    async def initiate(session: _Caller, direct: _Direct, request: Request) -> Response:
        """Begin an upload whose parts you send to the store, without the gateway in between.

        Each part has to be of its `size`. Keep the `ETag` of each answer for `…/complete`.
        """
        asked = await _initiating.read_from(request)
        _check_possible(direct)
        begun = await direct.begin(
            new_upload(
                session.username, asked.size, file_name(asked.name), declared_type(asked.media_type)
            )
        )
        return json_response(_view(begun), status=HTTPStatus.CREATED)

    @router.get(
        PARTS_PATH,
        summary="See which parts the store has",
        operation_id="list_upload_parts",
        response_class=Response,
        responses={
            200: {"description": "All parts, with new URLs.", **_UPLOAD},
            **problems(401, 404, 422, 503),
            **problem_meaning(409, "It is complete, or is sent with tus."),
            **_NOT_HERE,
        },
    )
    @if_unknown(LOOK)
    async def parts(session: _Caller, direct: _Direct, file_id: FilePath) -> Response:
        """Return new URLs for an upload, and the `etag` of each part that the store has.

        For when URLs have expired, or to go on after a break.
        """
        _check_possible(direct)
        return json_response(_view(await direct.find(session.username, file_id)))

    @router.post(
        COMPLETE_PATH,
        summary="Complete an upload straight to the store",
        operation_id="complete_upload",
        response_class=Response,
        responses={
            200: {
                "description": "The file, as messages show it.",
                "content": json_content(FileView),
            },
            **problems(400, 401, 404, 413, 415, 422, 503, 507),
            **problem_meaning(
                409, "Parts are missing, or others than these; see `detail`. Or it is sent by tus."
            ),
            **problem_meaning(
                423, "All parts are here, and it is being finished, which takes long: ask again."
            ),
            **problem_meaning(
                460,
                "The file does not match `sha256`. The upload is gone, unless it was complete.",
            ),
            **_NOT_HERE,
        },
        openapi_extra=json_body(
            CompleteUpload,
            {"parts": [{"number": 1, "etag": '"9b2cf535f27731c974343645a3985328"'}]},
        ),
    )
    @if_unknown(COMPLETION)
    async def complete(
        session: _Caller, direct: _Direct, file_id: FilePath, request: Request
    ) -> Response:
        """Make a file of the parts that have these ETags. Doing it again returns the same."""
        asked = await _completing.read_from(request)
        _check_possible(direct)
        file = await direct.complete(
            session.username, file_id, _by_number(asked), asked.sha256 and asked.sha256.lower()
        )
        return json_response(FileView(**payload_of(file, {})))

    return router


def _check_possible(direct: DirectUploads) -> None:
    if not direct.are_possible:
        raise BadRequest(HTTPStatus.NOT_IMPLEMENTED, NOT_HERE)


def _view(found: DirectUpload) -> DirectUploadView:
    return DirectUploadView(
        found.upload.file_id,
        found.part_size,
        [DirectPartView(*part) for part in found.parts],
        format_seconds(found.urls_expire_at),
        format_milliseconds(found.upload.expires_at),
    )


def _by_number(asked: CompleteUpload) -> dict[int, str]:
    named = {part.number: part.etag for part in asked.parts}
    for number, times in Counter(part.number for part in asked.parts).items():
        if times > 1:
            raise InvalidInput([FieldError("/parts", f"part {number} is named {times} times")])
    return named
