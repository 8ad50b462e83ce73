"""The id of the current request, for its answer, its problem and its log lines."""

from contextvars import ContextVar

request_id_var: ContextVar[str] = ContextVar("request_id", default="")


def current_request_id() -> str:
    """Return the id of the request that is being answered; empty outside of one."""
    return request_id_var.get()
