"""Debian's chromium, driven by playwright: for tests of the pages."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, sync_playwright

#: A browser that is not there fails in CI, where a skipped test has failed.
CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium")

DESKTOP, PHONE = 1280, 390


@contextlib.contextmanager
def running_chromium() -> Iterator[Browser]:
    """One browser, without a screen."""
    if CHROMIUM is None:
        pytest.skip("there is no chromium: apt-get install chromium, or set CHROMIUM to one")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]
        )
        yield browser
        browser.close()


class Visitor:
    """Somebody with a browser of their own. Whatever their console complains of, and whatever they ask of other
    machines, is in `complaints`.
    """

    def __init__(self, browser: Browser, base_url: str, **more: Any) -> None:
        self.base_url = base_url
        self.complaints = list[str]()
        self.context: BrowserContext = browser.new_context(
            base_url=base_url,
            locale="en-GB",
            timezone_id="Europe/Berlin",
            viewport={"width": DESKTOP, "height": 900},
            **more,
        )
        self.context.set_default_timeout(15_000)
        self.page: Page = self.context.new_page()
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("dialog", lambda dialog: self.complaints.append(f"dialog {dialog.message}"))
        self.page.on("request", lambda request: self._request(request.url))

    def log_in(self, password: str) -> Visitor:
        """By the form."""
        self.page.goto("/login")
        self.page.get_by_label("Password").fill(password)
        self.page.get_by_role("button", name="Log in").click()
        self.page.wait_for_url(lambda url: "/login" not in url)
        return self

    def csrf(self) -> str:
        """What the forms of the page bring along."""
        return self.page.locator("input[name=csrf_token]").first.input_value()

    def overflows(self) -> bool:
        """Something is wider than the window."""
        return bool(self.page.evaluate("document.documentElement.scrollWidth > innerWidth"))

    def shoot(self, file: Path) -> None:
        """The whole page as a picture."""
        self.page.screenshot(path=file, full_page=True)

    def close(self) -> None:
        """Go away."""
        self.context.close()

    def _console(self, message: ConsoleMessage) -> None:
        # A refused login or a missing list is an answer, not trouble.
        if message.type in ("error", "warning") and "the server responded with a status of" not in message.text:
            self.complaints.append(message.text)

    def _request(self, url: str) -> None:
        if not url.startswith((self.base_url, "data:", "about:")):
            self.complaints.append(f"asked for {url}")
