"""Logging an outage: each of its causes once, and that it is over."""

import logging

from chat4all.domain.errors import Unavailable


class OutageLog:
    """Logs repeated failures once for each cause, until the work succeeds again.

    `Unavailable` is a warning with its text as the field `cause`; anything else is a defect, logged
    as an error with its traceback. `fields` are logged with each line.
    """

    def __init__(
        self,
        logger: logging.Logger,
        failing: str,
        recovered: str | None = None,
        **fields: object,
    ) -> None:
        self._logger = logger
        self._failing = failing
        self._recovered = recovered
        self._fields = fields
        self._causes: set[str] = set()

    def failed(self, error: Exception) -> None:
        """Log this error unless its cause was logged in this outage."""
        is_expected = isinstance(error, Unavailable)
        cause = str(error) if is_expected else repr(error)
        if cause in self._causes:
            return
        self._causes.add(cause)
        self._logger.log(
            logging.WARNING if is_expected else logging.ERROR,
            self._failing,
            extra={**self._fields, "cause": cause},
            exc_info=None if is_expected else error,
        )

    def succeeded(self) -> None:
        """Log that the outage is over, if there was one."""
        if self._causes:
            self._causes.clear()
            if self._recovered is not None:
                self._logger.info(self._recovered, extra=self._fields)
