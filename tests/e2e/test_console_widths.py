"""The console in a narrow and in a wide window: everything is in reach, nothing is cut."""

from __future__ import annotations

import time

from playwright.sync_api import Page, expect

from tests.e2e.browser import console
from tests.e2e.conftest import beside
from tests.e2e.console_places import forget_missing, go, places
from tests.e2e.drills import Drill
from tests.e2e.live_stack import Stack

HEIGHT = 900
NARROW, WIDE = 1280, 2560

_OUT_OF_REACH = """() => {
  const wide = document.documentElement.clientWidth;
  const out = [];
  if (document.documentElement.scrollWidth > wide) out.push('the page scrolls sideways');
  const controls = '.owl-console :is(button, input, select, textarea, a, [role=tab])';
  for (const one of document.querySelectorAll(controls)) {
    const list = one.closest('.owl-scroll');
    // A list scrolls for itself; but what its rows can be told to do has to be in sight.
    if (list && (one.matches('a') || !one.closest('tbody'))) continue;
    const pinned = list?.querySelector('thead .owl-pinned');
    const most = pinned && !one.closest('.owl-pinned') ? pinned.getBoundingClientRect().left : wide;
    const { left, right, width } = one.getBoundingClientRect();
    if (width > 1 && (left < 0 || right > most + 1)) out.push(one.outerHTML.slice(0, 200));
  }
  return out;
}"""
_LISTS = """() => [...document.querySelectorAll('.owl-console .owl-scroll')].filter(
  (list) => list.scrollWidth > list.clientWidth + 1).map((list) => list.ariaLabel)"""
_WIDTHS = """table => Object.fromEntries([...table.querySelectorAll('thead th')].map(
  (head) => [head.innerText.trim(), head.getBoundingClientRect().width]))"""


def stays(page: Page, question: str) -> list[str]:
    """Return what is found for some seconds: the page before stays a moment, and rows come late."""
    end = time.monotonic() + 5
    found: list[str] = page.evaluate(question)
    while found and time.monotonic() < end:
        time.sleep(0.1)
        found = page.evaluate(question)
    return found


@beside
def test_every_page_fits_narrow_and_wide_windows(stack: Stack) -> None:
    drill = Drill(stack, "widths")
    drill.will_fail("C", code=28)
    drill.start()
    drill.until_ended("failed", 1)
    name = drill.dataset
    payload = f'{{"control": "{stack.control}"}}'
    added = stack.owl("queue", "add", name, "--type", "e2e_one", "--payload", payload, "--hold")
    assert added.returncode == 0, added.stdout + added.stderr
    wrong: dict[str, object] = {}
    with console(stack) as seen:
        page = seen.page
        seen.open(f"flow?search={name}")
        for width in (NARROW, WIDE):
            page.set_viewport_size({"width": width, "height": HEIGHT})
            waits = (f"queue?fileset={name}", seen.row(name), ())
            for place, shown, _ in (*places(seen, name), waits):
                go(page, f"plugin/owl/{place}")
                shown.first.wait_for()
                for question in (_OUT_OF_REACH, _LISTS) if width == WIDE else (_OUT_OF_REACH,):
                    if found := stays(page, question):
                        wrong[f"{place} at {width}"] = found
        assert not wrong, wrong
        # In a wide window the room goes to sentences, not to numbers.
        go(page, f"plugin/owl/flow?search={name}")
        expect(seen.row(name)).to_be_visible()
        widths = page.get_by_role("table", name="Data flow").evaluate(_WIDTHS)
        assert widths["Why"] > 2 * widths["Start (UTC)"], widths
        forget_missing(seen)
    assert stack.owl("queue", "remove", name, "--type", "e2e_one").returncode == 0
