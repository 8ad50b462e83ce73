"""`POST /v1/files/{id}/link`: a link for what cannot send a token."""

from functools import cache
from typing import Annotated

from fastapi import APIRouter, Depends, Response

from chat4all.domain.people import Session
from chat4all.domain.times import format_seconds
from chat4all.gateway.files.paths import FILES_PATH, LINK_PARAMETER, LINK_PATH
from chat4all.http.answers import json_response
from chat4all.http.bearer import caller
from chat4all.http.bound import bound
from chat4all.http.openapi import json_content, problems
from chat4all.http.outcomes import LOOK, if_unknown
from chat4all.http.paths import FilePath
from chat4all.http.routes import api_router
from chat4all.usecases.downloading import Downloading
from chat4all.wire.files import FileLinkView


@cache
def link_routes() -> APIRouter:
    """Return the route that makes links."""
    router = api_router("Files")

    @router.post(
        LINK_PATH,
        summary="Make a link to a file",
        operation_id="link_file",
        response_class=Response,
        responses={
            200: {
                "description": "A link for you alone, and when it expires.",
                "content": json_content(FileLinkView),
            },
            **problems(401, 404, 422, 503),
        },
    )
    @if_unknown(LOOK)
    async def link(
        session: Annotated[Session, Depends(caller)],
        downloading: Annotated[Downloading, bound(Downloading)],
        file_id: FilePath,
    ) -> Response:
        """Return an address for `<img>`, `<audio>` and `<video>`, which cannot send a token.

        Whether you may have the file is checked whenever the link is used.
        """
        made = await downloading.link(file_id, session.username)
        url = f"{FILES_PATH}/{file_id}?{LINK_PARAMETER}={made.token}"
        return json_response(FileLinkView(url, format_seconds(made.expires_at)))

    return router
