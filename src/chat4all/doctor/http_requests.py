"""Asking a service over HTTP how it is."""

import urllib.error
import urllib.request

ANSWER_SECONDS = 5.0
"""/health/ready itself gives each part 2 s."""

# A proxy that is set in the environment is for the world outside.
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
