"""Logs: one JSON object per line on standard error, with the request id if there is one."""

import logging
import sys
from functools import partial

from pythonjsonlogger.json import JsonFormatter

from chat4all.concurrency.output import BackgroundStream
from chat4all.http.request_id import current_request_id


class _WithRequestId(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        if request_id := current_request_id():
            record.request_id = request_id
        return True


def configure_logging(level: str) -> None:
    """Send everything that this process logs, its libraries' lines included, to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(_WithRequestId())
    handler.setFormatter(
        JsonFormatter(
            "{levelname}{name}{message}",
            style="{",
            timestamp="time",
            rename_fields={"levelname": "level", "name": "logger"},
        )
    )
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    if isinstance(sys.stderr, BackgroundStream):
        sys.stderr.writer.say_dropped = partial(_dropped, handler)
    quieten_libraries()


def _dropped(handler: logging.Handler, lines: int) -> str:
    """Return the log's line that tells how many are missing."""
    record = logging.LogRecord(
        __name__, logging.WARNING, "", 0, "lines of the log were dropped", None, None
    )
    record.lines = lines
    return handler.format(record)


def quieten_libraries() -> None:
    """Keep libraries at warnings, also at `debug`: SQLAlchemy logs rows, botocore signatures."""
    for name in (
        "aiobotocore",
        "aiohttp",
        "alembic",
        "asyncio",
        "botocore",
        "multipart",
        "sqlalchemy",
        "uvicorn",
    ):
        logging.getLogger(name).setLevel(logging.WARNING)
    # librdkafka logs each attempt to reach a broker; `http.health.watched` logs the failure once.
    logging.getLogger("chat4all.kafka").addFilter(_is_no_connection)


def _is_no_connection(record: logging.LogRecord) -> bool:
    return not record.getMessage().startswith(("FAIL ", "ERROR "))
