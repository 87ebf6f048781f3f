"""The console in a narrow and in a wide window: everything is in reach, nothing is cut."""

from __future__ import annotations

from playwright.sync_api import expect

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
    const cell = one.closest('.owl-scroll');
    // A list scrolls for itself: of it the controls of a row have to be in sight.
    if (cell && !one.closest('.owl-pinned')) continue;
    const { left, right, width } = one.getBoundingClientRect();
    if (width > 1 && (left < 0 || right > wide + 1)) out.push(one.outerHTML.slice(0, 200));
  }
  return out;
}"""
_LISTS = """() => [...document.querySelectorAll('.owl-console .owl-scroll')].filter(
  (list) => list.scrollWidth > list.clientWidth + 1).map((list) => list.ariaLabel)"""
_WIDTHS = """table => Object.fromEntries([...table.querySelectorAll('thead th')].map(
  (head) => [head.innerText.trim(), head.getBoundingClientRect().width]))"""


@beside
def test_every_page_fits_narrow_and_wide_windows(stack: Stack) -> None:
    drill = Drill(stack, "widths")
    drill.will_fail("C", code=28)
    drill.start()
    drill.until_ended("failed", 1)
    wrong: dict[str, object] = {}
    with console(stack) as seen:
        page = seen.page
        seen.open(f"flow?search={drill.dataset}")
        for width in (NARROW, WIDE):
            page.set_viewport_size({"width": width, "height": HEIGHT})
            for place, shown, _ in places(seen, drill.dataset):
                go(page, f"plugin/owl/{place}")
                shown.first.wait_for()
                if found := page.evaluate(_OUT_OF_REACH):
                    wrong[f"{place} at {width}"] = found
                if width == WIDE and (found := page.evaluate(_LISTS)):
                    wrong[f"{place} at {width}"] = found
        assert not wrong, wrong
        # In a wide window the room goes to sentences, not to numbers.
        go(page, f"plugin/owl/flow?search={drill.dataset}")
        expect(seen.row(drill.dataset)).to_be_visible()
        widths = page.get_by_role("table", name="Data flow").evaluate(_WIDTHS)
        assert widths["Why"] > 2 * widths["Start (UTC)"], widths
        forget_missing(seen)
