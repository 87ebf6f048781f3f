"""Every page of the console, for tests that look at all of them."""

from __future__ import annotations

import re

from playwright.sync_api import Locator, Page

from tests.e2e.browser import Console

MISSING = 999_999_999
"""The key of a run that is not there: its page has to say so."""


def places(seen: Console, dataset: str) -> list[tuple[str, Locator, tuple[str, ...]]]:
    """Return every page, what shows that it is there, and what opens more of it.

    Parameters
    ----------
    dataset
        One that has failed at its node C.
    """
    page = seen.page
    _, found = seen.ask("GET", f"flow?search={dataset}")
    run = f"run/{found['rows'][0]['run_key']}"
    flow = ("Nodes of", "Controls of", "Select", "Columns", "Views", "Status")
    table = page.get_by_role("table", name=re.compile("^(Queue|History|Campaigns|Quarantine)$"))
    return [
        (f"flow?search={dataset}", seen.row(dataset), flow),
        ("flow?search=nobody", page.get_by_text("No dataset fits"), ()),
        (run, page.get_by_role("table", name="Nodes of all attempts"), ("Rescue",)),
        (f"{run}?view=log&node=C", page.get_by_role("log"), ()),
        (f"{run}?view=resources", page.get_by_role("table", name="Resources"), ()),
        (f"{run}?view=products", page.get_by_text("no products"), ()),
        (f"{run}?view=actions", page.get_by_role("tab", name="Actions", selected=True), ()),
        (f"dataset/{dataset}", page.get_by_role("table", name="Runs"), ()),
        (f"run/{MISSING}", page.get_by_role("alert"), ()),
        ("errors?limit=25", seen.row("preview"), ()),
        ("queue?limit=25", table, ()),
        ("history?limit=25", table, ()),
        ("alerts?state=all", page.get_by_role("table", name="Alerts"), ()),
        ("pollers", seen.row("CSUM_STI"), ()),
        ("pollers?view=quarantine", table, ()),
        ("campaigns?limit=25", table, ()),
        ("pool", page.get_by_role("table", name="Machines"), ()),
        ("pool?view=changes", seen.row("joined"), ()),
        ("pool?view=health", seen.row("mirror"), ()),
        ("archive?limit=25", page.get_by_text(re.compile("^page 1")), ()),
    ]


def go(page: Page, path: str) -> None:
    """Follow a link to a place, as the host does: without loading all of it again."""
    page.evaluate(
        """path => {
          document.documentElement.classList.replace('dark', 'light');
          history.pushState({}, '', new URL(path, document.baseURI));
          dispatchEvent(new PopStateEvent('popstate', { state: {} }));
        }""",
        path,
    )


def forget_missing(seen: Console) -> None:
    """Take back the browser's complaints about the run that is not there."""
    mine = (f"runs/{MISSING}", "Failed to load resource")
    seen.complaints[:] = [one for one in seen.complaints if not any(m in one for m in mine)]
