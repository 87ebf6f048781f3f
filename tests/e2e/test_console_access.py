"""The console for everybody: without a pointer, without sight, without colours."""

from __future__ import annotations

import re

from playwright.sync_api import Locator, Page, expect

from tests.e2e.axe import violations
from tests.e2e.browser import console
from tests.e2e.conftest import beside
from tests.e2e.console_places import forget_missing, go, places
from tests.e2e.drills import Drill
from tests.e2e.live_stack import Stack

SENTENCE = "28 preview_error: The preview could not be made."
OPENS = {
    "Rescue": "[role=dialog]",
    **dict.fromkeys(("Controls of", "Status"), "[role=menu]"),
    **dict.fromkeys(("Columns", "Views"), "[data-scope=popover][data-state=open][role=dialog]"),
}
"""What is there once that was pressed."""
MOST_STEPS = 150
"""So many times Tab is pressed for what has to be near."""

_FOCUSED = """one => one === document.activeElement"""
_INK = """() => getComputedStyle(document.querySelector('.owl-console')).color"""
_RING = """() => {
  const one = document.activeElement;
  if (!one?.closest('.owl-console, [data-scope=dialog]')) return true;
  if (one.matches('.owl-console')) return true;
  const style = getComputedStyle(one);
  return (style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 1) ||
    style.boxShadow !== 'none';
}"""


def tab_to(page: Page, wanted: Locator, key: str = "Tab") -> None:
    """Press Tab until something has the focus; on the way every focus has to be seen."""
    wanted.wait_for()
    for _ in range(MOST_STEPS):
        if wanted.evaluate(_FOCUSED):
            return
        page.keyboard.press(key)
        assert page.evaluate(_RING), page.evaluate("() => document.activeElement.outerHTML")
    raise AssertionError(f"{key} does not come to {wanted}")


@beside
def test_operator_needs_no_pointer(stack: Stack) -> None:
    drill = Drill(stack, "keys")
    drill.will_fail("C", code=28)
    drill.start()
    drill.until_ended("failed", 1)
    with console(stack) as seen:
        page = seen.page
        seen.open(f"flow?search={drill.dataset}")
        page.get_by_role("link", name=drill.dataset, exact=True).wait_for()
        tab_to(page, page.get_by_role("button", name=f"Nodes of {drill.dataset}"))
        page.keyboard.press("Enter")
        expect(seen.row("failed", SENTENCE)).to_be_visible()
        tab_to(page, page.get_by_role("link", name="Log of C, attempt 1"))
        page.keyboard.press("Enter")
        log = page.get_by_role("log")
        expect(log).to_contain_text("C was told to fail")
        # The new page has the focus: Tab goes on in it, and not at Airflow's first link.
        expect(page.locator("[data-focus-home]")).to_be_focused()
        tab_to(page, page.get_by_role("tab", name="Log"))
        page.keyboard.press("ArrowLeft")
        expect(page.get_by_role("tab", name="Nodes", selected=True)).to_be_focused()
        page.keyboard.press("ArrowRight")
        tab_to(page, log)
        page.keyboard.press("Tab")
        expect(page.get_by_role("link", name="Line 1", exact=True)).to_be_focused()
        page.keyboard.press("Enter")
        expect(page).to_have_url(re.compile("line=1"))

        drill.mend("C")
        rescue = page.get_by_role("button", name="Rescue", exact=True)
        tab_to(page, rescue, "Shift+Tab")
        page.keyboard.press("Enter")
        dialog = page.get_by_role("dialog")
        expect(dialog).to_contain_text("runs again C, D, E")
        page.keyboard.press("Escape")
        expect(dialog).not_to_be_visible()
        expect(rescue).to_be_focused()
        page.keyboard.press("Enter")
        expect(dialog).to_contain_text("runs again C, D, E")
        tab_to(page, dialog.get_by_label(re.compile("Reason")))
        page.keyboard.type("without a mouse")
        tab_to(page, dialog.get_by_role("button", name="Rescue", exact=True))
        page.keyboard.press("Enter")
        # What goes on behind the dialog is not said over its outcome.
        ended = page.get_by_text("attempt 2, rescued once, 5 of 5 nodes done")
        expect(ended).to_be_visible()
        said = dialog.locator("[data-announcer]")
        expect(said).to_have_text(re.compile(rf"^Rescue: {drill.dataset} .*: done\."))
        close = dialog.get_by_role("button", name="Close", exact=True)
        expect(close).to_be_focused()
        page.keyboard.press("Enter")
        expect(dialog).not_to_be_visible()
        expect(ended).to_be_visible()
        # The outcome is said when it comes, once, and not with each refresh.
        expect(page.locator(".owl-console [data-announcer]")).to_have_text(
            f"Run of {drill.dataset}: done at E, 5/5 nodes."
        )
        # What opened the dialog is gone, the focus is not: and it can leave the page again.
        expect(page.locator(".owl-console:focus, .owl-console :focus")).to_have_count(1)
        leaves(page)
    drill.until_ended("success", 2)


def leaves(page: Page) -> None:
    """Tab comes out of our part of the page."""
    for _ in range(MOST_STEPS):
        page.keyboard.press("Tab")
        if page.evaluate("() => !document.activeElement.closest('.owl-console')"):
            return
    raise AssertionError("the focus is caught")


@beside
def test_no_page_breaks_the_rules_of_accessibility(stack: Stack) -> None:
    drill = Drill(stack, "axe")
    drill.will_fail("C", code=28)
    drill.start()
    drill.until_ended("failed", 1)
    name = drill.dataset
    with console(stack) as seen:
        page = seen.page
        broken: dict[str, object] = {}
        seen.open(f"flow?search={name}")
        for place, shown, presses in places(seen, name):
            go(page, f"plugin/owl/{place}")
            shown.first.wait_for()
            look(page, broken, place)
            for press in presses:
                page.get_by_label(re.compile(f"^{press}")).or_(
                    page.get_by_role("button", name=press, exact=True)
                ).first.click()
                if opened := OPENS.get(press):
                    page.locator(opened).first.wait_for()
                look(page, broken, f"{place}, {press}")
                page.keyboard.press("Escape")
        task = f"dags/drill/runs/{name}"
        for place, shown in (
            (f"{task}/plugin/owl-dataset", page.get_by_role("table", name="Nodes of all attempts")),
            (f"{task}/tasks/C/plugin/owl-node", page.get_by_role("log")),
            ("", page.get_by_role("region", name="OWL")),
        ):
            go(page, place)
            shown.first.wait_for()
            look(page, broken, place or "dashboard")
        assert not broken, broken
        # Who finds nothing anywhere may be blind.
        page.evaluate("""() => document.querySelector('.owl-console').insertAdjacentHTML(
            'afterbegin', '<button></button><p style="color: #bbb; background: #fff">pale</p>')""")
        assert {"button-name", "color-contrast"} <= violations(page).keys()
        forget_missing(seen)


def look(page: Page, broken: dict[str, object], name: str) -> None:
    """Collect what breaks a rule: all rules in light, that of colours in dark, too."""
    settle(page)
    if found := violations(page):
        broken[f"{name} (light)"] = found
    light = page.evaluate(_INK)
    page.evaluate("() => document.documentElement.classList.replace('light', 'dark')")
    settle(page)
    assert page.evaluate(_INK) != light, "the theme has not changed"
    if found := violations(page, ("color-contrast",)):
        broken[f"{name} (dark)"] = found
    page.evaluate("() => document.documentElement.classList.replace('dark', 'light')")


def settle(page: Page) -> None:
    """Wait for what comes, fades in or changes its colour: half of a colour is not one."""
    page.wait_for_function(
        "() => !document.querySelector(':is(.owl-console, [role=dialog]) .chakra-spinner')"
        " && document.getAnimations().every((one) => one.playState !== 'running' || "
        "one.effect?.getComputedTiming().iterations === Infinity)"
    )
