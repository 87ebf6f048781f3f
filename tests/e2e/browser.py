"""A user's browser at a live stack: the machine's Chromium, logged in, watched for complaints."""

from __future__ import annotations

import re
import shutil
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Locator, Page, expect, sync_playwright
from playwright.sync_api import TimeoutError as PlaywrightTimeout

from htcondor_operator.launcher.home import load_secrets
from tests.e2e.live_stack import Stack, until

NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
PATIENCE_MS = 300_000
"""On a machine that runs the other cases at the same time."""
MENU_MS = 10_000
MOST_SAID = 3000
_SEATS = threading.BoundedSemaphore(3)
"""Browsers at the same time: a dozen of them make a small machine too slow for any of them."""


def chromium() -> str:
    """Return the browser's path; skip the test where there is none."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        pytest.skip("there is no Chromium on PATH: apt-get install chromium (./owl test as root)")
    return found


@dataclass
class Console:
    """The console, as one user sees it.

    Parameters
    ----------
    page
        The browser's page, logged in.
    address
        ``http://host:port`` of the stack, with the path if it is below one.
    """

    page: Page
    address: str
    complaints: list[str] = field(default_factory=list)
    """Errors in the browser's console, uncaught exceptions, answers from 400 on."""

    def open(self, place: str) -> None:
        """Go to a place of the console (``flow?status=failed``)."""
        self.page.goto(f"{self.address}/plugin/owl/{place}")

    def row(self, *words: str) -> Locator:
        """Return the rows with all of some words."""
        rows = self.page.locator("tr.owl-row, table.owl-table:not(.owl-rows) tbody tr")
        for word in words:
            rows = rows.filter(has_text=word)
        return rows

    def choose(self, row: Locator, item: str) -> None:
        """Choose an item of a row's menu."""
        wanted = self.page.get_by_role("menuitem", name=item)
        self.show_menu(row, wanted)
        wanted.click()

    def show_menu(self, row: Locator, item: Locator) -> None:
        """Open a row's menu, which has an item.

        A row that changes between press and release of the button opens no menu: as people do,
        press again.
        """
        until(f"the menu has {item}", lambda: self._opens(row, item), every=0)

    def _opens(self, row: Locator, item: Locator) -> bool:
        row.locator("[data-control=menu]").click()
        try:
            item.wait_for(timeout=MENU_MS)
        except PlaywrightTimeout:
            self.page.keyboard.press("Escape")
            return False
        return True

    def confirm(self, verb: str, *words: str, reason: str = "") -> None:
        """Read the preview of an action, do it, and read what was done."""
        dialog = self.page.get_by_role("dialog")
        for word in words:
            expect(dialog).to_contain_text(word)
        if reason:
            dialog.get_by_label(re.compile("Reason")).fill(reason)
        dialog.get_by_role("button", name=verb, exact=True).click()
        expect(dialog.get_by_text(re.compile(": done$"))).to_be_visible()
        dialog.get_by_role("button", name="Close", exact=True).click()
        expect(dialog).not_to_be_visible()

    def ask(self, method: str, path: str, body: object = None, origin: str = "") -> tuple[int, Any]:
        """Call the console's API as the page does, with its cookie; return status and answer."""
        site = urlsplit(self.address)
        own = f"{site.scheme}://{site.netloc}"
        headers = {"X-OWL-Request": "1", "Origin": origin or own}
        url = f"{self.address}/owl/api/{path}"
        answer = self.page.request.fetch(url, method=method, data=body, headers=headers)
        return answer.status, answer.json()

    def last_seen(self) -> str:
        """Return what the page says now, for a report that comes without its picture."""
        said = self.page.locator("body").inner_text()[:MOST_SAID]
        return f"at {self.page.url}\ncomplaints: {self.complaints}\nthe page says:\n{said}"

    def watch(self) -> None:
        """Collect what goes wrong from now on."""
        self.page.on(
            "console",
            lambda said: self.complaints.append(said.text) if said.type == "error" else None,
        )
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on(
            "response",
            lambda got: (
                self.complaints.append(f"{got.status} {got.url}") if got.status >= 400 else None
            ),
        )


def log_in(page: Page, stack: Stack, user: str) -> None:
    """Fill in the login page, which is there or coming."""
    page.fill('input[name="username"]', user)
    page.fill('input[name="password"]', load_secrets(stack.home).passwords[user])
    page.click('button[type="submit"]')


@contextmanager
def console(
    stack: Stack, user: str = "operator", theme: str = "light", address: str = ""
) -> Iterator[Console]:
    """Open a browser and log in; at the end nothing may have gone wrong in it.

    Parameters
    ----------
    address
        Where Airflow is, if not at the stack's own address.
    """
    address = address or stack.environment["AIRFLOW__API__BASE_URL"]
    program = chromium()
    expect.set_options(timeout=PATIENCE_MS)
    with _SEATS, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=FLAGS)
        context = browser.new_context(
            viewport={"width": 1440, "height": 900}, ignore_https_errors=True
        )
        context.set_default_timeout(PATIENCE_MS)
        context.add_init_script(f"localStorage.setItem('theme', '{theme}')")
        page = context.new_page()
        page.goto(f"{address}/")
        log_in(page, stack, user)
        page.get_by_role("link", name="OWL", exact=True).wait_for()
        seen = Console(page, address)
        seen.watch()
        try:
            yield seen
        except Exception as error:
            page.screenshot(
                path=str(stack.home.logs / f"console-{user}-{uuid.uuid4().hex[:4]}.png")
            )
            error.add_note(seen.last_seen())
            raise
        finally:
            browser.close()
        assert not seen.complaints, seen.complaints
