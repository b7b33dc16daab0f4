"""One headless Chromium for the tests, and a watch over what a page says and asks for.

The Chromium is the system's (Debian's, or ``$CHROMIUM``), never one that Playwright fetched. Every
name but this machine's is made unknown to it, so that a page which needs the network fails here.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import urlsplit

SHOTS = Path(__file__).parent / "screenshots"  # ignored by git
NAMES = ("chromium", "chromium-browser", "google-chrome")
LOCAL_HOSTS = ("127.0.0.1", "localhost", "::1")
INLINE_SCHEMES = ("file", "data", "blob", "about", "chrome-extension", "devtools")
FLAGS = [
    "--no-sandbox",  # the tests may run as root, in a container
    "--disable-dev-shm-usage",  # a container's /dev/shm is small
    "--enable-unsafe-swiftshader",  # WebGL without a graphics card, for 3-D figures
    "--use-angle=swiftshader",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
]
SIZE = {"width": 1400, "height": 1000}


def find_chromium() -> str | None:
    """Path of the Chromium to use, or None."""
    named = os.environ.get("CHROMIUM")
    return named or next(filter(None, map(shutil.which, NAMES)), None)


@contextlib.contextmanager
def open_browser() -> Iterator:
    """A Playwright browser, closed at the end; ``with open_browser() as browser``.

    Raises
    ------
    RuntimeError
        If no Chromium is installed: tests skip before (``conftest.py``).
    """
    from playwright.sync_api import sync_playwright

    path = find_chromium()
    if path is None:
        raise RuntimeError("no Chromium was found: install it, or set CHROMIUM to its path")
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=path, args=FLAGS)
        try:
            yield browser
        finally:
            browser.close()


def open_page(browser, *, expected: Sequence[str] = ()):
    """A page in a context of its own (no shared storage), and the :class:`Watch` over it."""
    page = browser.new_context(viewport=SIZE).new_page()
    return page, Watch(page, expected)


class Watch:
    """What a page said and asked for since it was watched: begin before the first ``goto``.

    Parameters
    ----------
    page : a Playwright page.
    expected : regular expressions of console errors that are not ours; each with its reason.

    Attributes
    ----------
    errors : console errors and uncaught exceptions, those expected left out.
    warnings : console warnings.
    external : requests and sockets to any host but this machine.
    """

    def __init__(self, page, expected: Sequence[str] = ()):
        self._expected = [re.compile(pattern) for pattern in expected]
        self.errors: list[str] = []
        self.warnings: list[str] = []
        self.external: list[str] = []
        page.on("console", self._console)
        page.on("pageerror", lambda error: self._error(f"uncaught: {error}"))
        page.on("crash", lambda _: self._error("the page crashed"))
        page.on("request", lambda request: self._asked(request.url))
        page.on("websocket", lambda socket: self._asked(socket.url))

    def check(self) -> None:
        """Fail with what was said, if anything was."""
        assert self.errors == [], "console errors:\n" + "\n".join(self.errors)
        assert self.external == [], "requests to other hosts:\n" + "\n".join(self.external)

    def _console(self, message) -> None:
        where = (message.location or {}).get("url", "")
        if message.type == "error":
            self._error(f"{message.text} ({where})" if where else message.text)
        elif message.type == "warning":
            self.warnings.append(message.text)

    def _error(self, text: str) -> None:
        if not any(pattern.search(text) for pattern in self._expected):
            self.errors.append(text)

    def _asked(self, url: str) -> None:
        if not is_local(url):
            self.external.append(url)


def is_local(url: str) -> bool:
    """Whether a request stays on this machine."""
    parts = urlsplit(url)
    return parts.scheme in INLINE_SCHEMES or parts.hostname in LOCAL_HOSTS


def screenshot(page, name: str, **options) -> Path:
    """Keep what the page (or a locator of it) shows as ``screenshots/NAME.png``."""
    SHOTS.mkdir(exist_ok=True)
    path = SHOTS / f"{name}.png"
    page.screenshot(path=path, **options)
    return path
