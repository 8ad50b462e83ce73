"""What endpoints use, bound to each application when it is put together.

Routes are made once per process, because FastAPI takes a millisecond to analyse each. Applications
differ in what the same endpoints use: their own use cases and limits.
"""

from collections.abc import Mapping
from typing import Any, TypeAlias

from fastapi import Depends, FastAPI, Request

Bound: TypeAlias = Mapping[type[Any], Any]
"""What endpoints may use, by its type."""


def bind(app: FastAPI, uses: Bound) -> None:
    """Let the endpoints of `app` use these."""
    app.state.uses = uses


def bound(kind: type[Any]) -> Any:
    """Return a FastAPI dependency: what the application has of a type."""

    async def find(request: Request) -> Any:
        return request.app.state.uses[kind]

    return Depends(find)
