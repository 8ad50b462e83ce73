"""Querying a service over HTTP."""

import urllib.error
import urllib.request

ANSWER_SECONDS = 5.0
"""/health/ready itself waits 2 s for each dependency."""

# Proxies that are set in the environment are not for our own services.
_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def get(url: str) -> tuple[int, bytes]:
    """Return the status and the body of an answer; `OSError` without one."""
    try:
        with _direct.open(url, timeout=ANSWER_SECONDS) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def reason_of(error: OSError) -> str:
    """Return why a request had no answer."""
    inner = error.reason if isinstance(error, urllib.error.URLError) else error
    return getattr(inner, "strerror", None) or str(inner)
