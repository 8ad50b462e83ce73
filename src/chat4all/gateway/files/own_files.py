"""`GET /v1/files`: the caller's own files."""

from functools import cache
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response

from chat4all.domain.own_files import FileOrder
from chat4all.domain.people import Session
from chat4all.gateway.files.paths import FILES_PATH
from chat4all.http.answers import json_response
from chat4all.http.bearer import caller
from chat4all.http.bound import bound
from chat4all.http.openapi import json_content, problem_meaning, problems
from chat4all.http.paging import LINK_HEADER, Cursor, link_next
from chat4all.http.routes import api_router
from chat4all.usecases.listing_files import FILES_LIMIT_DEFAULT, FILES_LIMIT_MAX, ListingFiles
from chat4all.wire.files import OwnFileView, own_file_view


@cache
def own_files_routes() -> APIRouter:
    """Return the route that lists the caller's files."""
    router = api_router("Files")

    @router.get(
        FILES_PATH,
        summary="List your files",
        operation_id="list_files",
        response_class=Response,
        responses={
            200: {
                "description": "A page of them.",
                "content": json_content(OwnFileView, many=True),
                "headers": LINK_HEADER,
            },
            **problems(401, 422, 503),
            **problem_meaning(501, "This installation has no store for files."),
        },
    )
    async def list_files(
        session: Annotated[Session, Depends(caller)],
        listing: Annotated[ListingFiles, bound(ListingFiles)],
        order: Annotated[
            FileOrder, Query(description="The `newest` or the `largest` first.")
        ] = FileOrder.NEWEST,
        limit: Annotated[int, Query(ge=1, le=FILES_LIMIT_MAX)] = FILES_LIMIT_DEFAULT,
        cursor: Cursor = "",
    ) -> Response:
        """Return your own files and the uploads that are not whole yet: all that counts as yours.

        One that is not in use is deleted with `DELETE /v1/files/{file_id}`, one that is in use
        with the last message that has it.
        """
        found, after = await listing.page(session.username, order, limit, cursor)
        response = json_response([own_file_view(one) for one in found])
        link_next(response, FILES_PATH, after, order=order, limit=limit)
        return response

    return router
