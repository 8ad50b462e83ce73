"""Chromium without a window, driven by Playwright. Neither is needed by anything else here."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from .running import BenchmarkFailed

if TYPE_CHECKING:
    from playwright.sync_api import Browser

NAMES = (
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
)
OPTIONS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@contextmanager
def chromium() -> Iterator["Browser"]:
    """Start this machine's browser. Raises `BenchmarkFailed`: there is none, or it fails."""
    try:
        from playwright.sync_api import Error, sync_playwright
    except ImportError:
        raise BenchmarkFailed(
            "a browser is driven by Playwright, which is missing: pip install playwright"
        ) from None
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        raise BenchmarkFailed("there is no Chromium or Chrome: install one (Debian: chromium)")
    with sync_playwright() as playwright:
        try:
            browser = playwright.chromium.launch(
                executable_path=found, args=OPTIONS, chromium_sandbox=False
            )
            try:
                yield browser
            finally:
                browser.close()
        except Error as error:
            (reason, *_) = error.message.splitlines()
            raise BenchmarkFailed(f"the browser failed: {reason}") from error
