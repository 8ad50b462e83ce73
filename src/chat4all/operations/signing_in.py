"""Tokens of a user, as any client gets them: by password, later by the refresh token."""

import json
import time
import urllib.error
import urllib.parse
import urllib.request
from contextlib import suppress
from http import HTTPStatus
from http.client import HTTPException
from typing import Any

from chat4all import __version__
from chat4all.domain.errors import CommandRefused

ANSWER_SECONDS = 10.0

LOGOUT_SECONDS = 2.0

SERVER_ERRORS = 500
"""From here on a status is about the server."""

RENEWED_AT = 0.8
"""The share of its lifetime after which a token is renewed."""

_HEADERS = {"User-Agent": f"chat4all/{__version__}"}


class NoAnswer(Exception):
    """No token now; the text says why. `retry_after` is in seconds."""

    def __init__(self, why: str, retry_after: float = 0.0) -> None:
        super().__init__(why)
        self.retry_after = retry_after


class Account:
    """A user of the gateway at `url`, signed in or not. Everything here blocks."""

    def __init__(self, url: str, username: str, password: str) -> None:
        self._url = url
        self._username = username
        self._password = password
        self._refresh_token: str | None = None
        self.token = ""
        """The access token."""
        self.renew_at = 0.0
        """When to renew it, by the monotonic clock."""

    def renew(self) -> None:
        """Get the next token. Raises `NoAnswer`; `CommandRefused` where the account is not good."""
        if self._refresh_token is not None:
            form = {"grant_type": "refresh_token", "refresh_token": self._refresh_token}
            status, body = self._ask(form)
            if status == HTTPStatus.OK:
                self._take(body)
                return
            self._refresh_token = None  # the session has ended; the password may still be good
        status, body = self._ask({"username": self._username, "password": self._password})
        if status != HTTPStatus.OK:
            detail = body.get("detail", f"status {status}")
            raise CommandRefused(f"{self._username} cannot sign in: {detail}")
        self._take(body)

    def sign_out(self) -> None:
        """End the session, if that is possible now."""
        if self.token:
            headers = {**_HEADERS, "Authorization": f"Bearer {self.token}"}
            request = urllib.request.Request(  # noqa: S310 - the scheme was checked
                f"{self._url}/v1/logout", b"", headers, method="POST"
            )
            with suppress(OSError, HTTPException):
                urllib.request.urlopen(request, timeout=LOGOUT_SECONDS).close()  # noqa: S310

    def _take(self, body: dict[str, Any]) -> None:
        self.token, self._refresh_token = body["access_token"], body["refresh_token"]
        self.renew_at = time.monotonic() + RENEWED_AT * body["expires_in"]

    def _ask(self, form: dict[str, str]) -> tuple[int, dict[str, Any]]:
        data = urllib.parse.urlencode(form).encode()
        request = urllib.request.Request(f"{self._url}/token", data, _HEADERS)  # noqa: S310
        try:
            with urllib.request.urlopen(request, timeout=ANSWER_SECONDS) as answer:  # noqa: S310
                return answer.status, _object(answer.read())
        except urllib.error.HTTPError as error:
            with error:
                if error.code == HTTPStatus.TOO_MANY_REQUESTS or error.code >= SERVER_ERRORS:
                    why = f"{self._url} is answered with {error.code}"
                    raise NoAnswer(why, seconds_of(error.headers.get("Retry-After"))) from None
                return error.code, _object(error.read())
        except HTTPException:
            raise CommandRefused("--url: it does not answer as Chat4All does") from None
        except OSError as error:
            reason = error.reason if isinstance(error, urllib.error.URLError) else error
            raise NoAnswer(f"{self._url} does not answer: {reason}") from None


def seconds_of(retry_after: str | None) -> float:
    """Return the seconds that an answer asks to wait; 1 where it says a date, or nothing."""
    return float(retry_after) if retry_after and retry_after.isdecimal() else 1.0


def _object(body: bytes) -> dict[str, Any]:
    """Return what an answer says; `CommandRefused` if it is not Chat4All's."""
    try:
        read = json.loads(body)
    except ValueError:
        read = None
    if not isinstance(read, dict):
        raise CommandRefused("--url: it does not answer as Chat4All does")
    return read
