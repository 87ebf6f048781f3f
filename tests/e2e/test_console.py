"""The operators' console in a real browser, with a real stack and a real pool behind it."""

from __future__ import annotations

import re
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

from playwright.sync_api import expect

from tests.e2e.browser import Console, console
from tests.e2e.conftest import beside
from tests.e2e.drills import Drill
from tests.e2e.live_stack import ROOT, Stack, until

SENTENCE = "28 preview_error: The preview could not be made."
WRITE_CONTROLS = re.compile(
    "^(Rescue|Hold|Release|Remove|Priority|Retry from|Stop|Start|Pause|Resume|Cancel|Delete|Accept"
    "|Acknowledge)"
)

FOLLOWED_WHEN_THE_CARD_COMES = """
new MutationObserver((_, watch) => {
  if (document.querySelector('.owl-console') === null) return;
  watch.disconnect();
  document.querySelector('a[href$="/plugin/owl"]').click();
}).observe(document, { childList: true, subtree: true });
"""
"""After the card was drawn on Airflow's dashboard, before it does anything."""


@beside
def test_operator_who_is_faster_than_the_card_is_not_thrown_back(stack: Stack) -> None:
    with console(stack) as seen:
        seen.page.add_init_script(FOLLOWED_WHEN_THE_CARD_COMES)
        seen.page.goto(f"{seen.address}/")
        seen.page.get_by_label("Dataset begins with").wait_for()
        expect(seen.page).to_have_url(re.compile("/plugin/owl/flow$"))


@beside
def test_operator_sees_a_dataset_fail_and_rescues_it(stack: Stack) -> None:
    drill = Drill(stack, "console")
    drill.will_wait("B", "C")
    drill.will_fail("C", code=28)
    with console(stack) as seen:
        page = seen.page
        page.get_by_role("link", name="OWL", exact=True).click()
        # Letters typed while the bundle has only just come must not be lost.
        page.get_by_label("Dataset begins with").press_sequentially(drill.dataset, delay=20)
        expect(page.get_by_text("No dataset fits")).to_be_visible()
        expect(page).to_have_url(re.compile(rf"/plugin/owl/flow\?.*search={drill.dataset}"))

        # It goes through its nodes while one looks: nothing is loaded again by hand.
        drill.start()
        row = seen.row(drill.dataset)
        expect(row).to_contain_text("1/5")
        expect(row).to_contain_text("running")
        drill.let_go("B")
        expect(row).to_contain_text("2/5")
        drill.let_go("C")
        expect(row).to_contain_text("failed")
        expect(row.locator(".owl-help")).to_have_attribute("title", SENTENCE)

        row.get_by_role("button", name=f"Nodes of {drill.dataset}").click()
        # All of the expanded part is in sight, not the height of one row of it.
        nodes = page.get_by_role("table", name="Nodes of all attempts")
        expect(nodes).to_contain_text("Had an ancestor")
        expanded = nodes.locator("xpath=ancestor::td[1]")
        assert expanded.evaluate("one => one.scrollHeight - one.clientHeight") == 0
        page.get_by_role("link", name="Log of C, attempt 1").click()
        log = page.get_by_role("log")
        expect(log).to_contain_text(f"C was told to fail by {stack.control}/{drill.dataset}.C.fail")
        expect(page.get_by_text(SENTENCE).first).to_be_visible()
        page.reload()
        expect(log).to_contain_text("C was told to fail")

        drill.mend("C")
        # Airflow's scheduler still has its say about the failed run for a moment.
        drill.until_ended("failed", 1)
        page.get_by_role("button", name="Rescue", exact=True).click()
        seen.confirm("Rescue", "runs again C, D, E; kept as done: A, B", reason="mended it")
        expect(page.get_by_text("attempt 2, rescued once, 5 of 5 nodes done")).to_be_visible()
        page.get_by_role("tab", name="Actions").click()
        expect(seen.row("operator", "mended it").first).to_be_visible()
    drill.until_ended("success", 2)
    drill.check_starts(C=2)
    drill.check_grid("success")


@beside
def test_queue_is_sorted_out_and_its_history_says_so(stack: Stack) -> None:
    prefix = f"cq{uuid.uuid4().hex[:5]}"
    goes, stays = f"{prefix}-goes", f"{prefix}-stays"
    payload = f'{{"control": "{stack.control}"}}'
    done = stack.owl(
        *("queue", "add", goes, stays, "--type", "e2e_one", "--payload", payload, "--hold")
    )
    assert done.returncode == 0, done.stdout + done.stderr
    with console(stack) as seen:
        page = seen.page
        seen.open(f"queue?fileset={prefix}")
        page.get_by_role("button", name=re.compile(f"Priority of {goes}")).click()
        field = page.get_by_label(f"Priority of {goes}", exact=True)
        field.fill("7")
        field.press("Enter")
        expect(page.get_by_role("button", name=f"Priority of {goes}: 7")).to_be_visible()
        page.get_by_role("button", name=f"Remove {stays}").click()
        seen.confirm("Remove", stays, reason="not wanted")
        expect(seen.row(stays)).to_have_count(0)
        seen.choose(seen.row(goes), "Release")
        seen.confirm("Release", goes)
        expect(page.get_by_text("Nothing waits")).to_be_visible()
        seen.open(f"history?fileset={prefix}")
        expect(seen.row(goes)).to_contain_text("done")
        expect(seen.row(stays)).to_contain_text("removed")
    rows = stack.sql(
        "SELECT fileset, priority, outcome FROM owl_queue_history WHERE fileset LIKE %(p)s",
        p=f"{prefix}%",
    )
    assert {(r["fileset"], r["outcome"]) for r in rows} == {(goes, "done"), (stays, "removed")}
    assert {r["fileset"]: r["priority"] for r in rows}[goes] == 7


@beside
def test_campaign_is_paused_and_what_failed_in_it_is_rescued_by_its_cause(stack: Stack) -> None:
    prefix = f"cc{uuid.uuid4().hex[:5]}"
    names = [f"{prefix}-{number}" for number in range(4)]
    for name in names:
        (stack.control / f"{name}.ONE.wait").touch()
    for name in names[:2]:
        (stack.control / f"{name}.ONE.fail").write_text("28\n")
    listed = stack.control / f"{prefix}.list"
    listed.write_text("\n".join(names) + "\n")
    made = stack.owl(
        *("campaign", "create", prefix, "--type", "e2e_one", "--datasets", str(listed)),
        *("--param", f"control={stack.control}"),
    )
    assert made.returncode == 0, made.stdout + made.stderr
    with console(stack) as seen:
        page = seen.page
        seen.open(f"campaigns?name={prefix}")
        page.get_by_role("button", name="Pause", exact=True).click()
        seen.confirm("Pause", prefix)
        page.get_by_role("button", name="Resume", exact=True).click()
        seen.confirm("Resume", prefix)
        for name in names:
            (stack.control / f"{name}.ONE.wait").unlink()
        expect(page.get_by_text("4 of 4", exact=True)).to_be_visible()
        expect(seen.row("ONE", "2").first).to_be_visible()

        seen.open(f"errors?campaign={prefix}")
        cause = seen.row("ONE", "preview_error")
        expect(cause).to_have_count(1)
        expect(cause.get_by_role("link", name="2", exact=True)).to_be_visible()
        # What the job said comes a moment after its end, and tells causes apart.
        expect(cause).to_contain_text("ONE was told to fail")
        seen.choose(cause, "Accept as known")
        seen.confirm("Accept", reason="known to the test")
        expect(cause).to_contain_text("known to the test")
        for name in names[:2]:
            (stack.control / f"{name}.ONE.fail").unlink()
        seen.choose(cause, "Rescue all 2")
        seen.confirm("Rescue", *names[:2])
        expect(page.get_by_text("Nothing has failed")).to_be_visible()
        seen.open(f"flow?campaign={prefix}&status=done")
        for name in names:
            expect(seen.row(name)).to_contain_text("done")


@beside
def test_poller_is_stopped_and_its_quarantine_is_cleared(stack: Stack) -> None:
    prefix = f"console{uuid.uuid4().hex[:5]}"
    again, bad = f"{prefix}-again.txt", f"{prefix}-bad.txt"
    landing = Path(stack.environment["OWL_INCOMING"]) / "sti"
    landing.mkdir(exist_ok=True)
    for name in (again, bad):
        (landing / name).write_text(f"no exposure: {name}\n")
    with console(stack) as seen:
        page = seen.page
        seen.open("pollers")
        page.get_by_role("button", name="Stop CSUM_STI").click()
        seen.confirm("Stop", "CSUM_STI")
        expect(seen.row("CSUM_STI")).to_contain_text("paused")
        assert stack.operator.call("GET", "/dags/poll_csum_sti")["is_paused"]
        page.get_by_role("button", name="Start CSUM_STI").click()
        seen.confirm("Start", "CSUM_STI")
        expect(seen.row("CSUM_STI")).to_contain_text("running")

        seen.open("pollers?view=quarantine&poller=DP_STI")
        expect(seen.row(bad)).to_contain_text("its name is not of the form")
        seen.choose(seen.row(bad), "Delete")
        seen.confirm("Delete", bad, reason="rubbish")
        expect(seen.row(bad)).to_have_count(0)
        before = arrival(stack, again)
        seen.choose(seen.row(again), "Release")
        seen.confirm("Release", again)
        # It is looked at once more, and is not better than before.
        until(
            "it comes back",
            lambda: (now := arrival(stack, again))["state"] == "quarantined" and now != before,
        )
    assert arrival(stack, bad)["state"] == "discarded"


def arrival(stack: Stack, name: str) -> dict[str, Any]:
    (row,) = stack.sql("SELECT * FROM owl_arrival WHERE name = %(n)s", n=name)
    return row


@beside
def test_archive_shows_what_a_dataset_has_become(stack: Stack) -> None:
    dataset = f"jc{uuid.uuid4().hex[:5]}1q"
    command = [sys.executable, "-m", "calibration", "simulate", "--small", "--stars", "5"]
    command += ["--rays", "5", "--detector", "ACS/HRC", "--dataset", dataset]
    command += ["--incoming", stack.environment["OWL_INCOMING"]]
    command += ["--references", stack.environment["OWL_REFERENCES"]]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=200)
    assert stack.operator.trigger("sdp_prearch_acs", dataset, {"dataset": dataset})
    ended = "SELECT 1 FROM owl_run WHERE dataset = %(d)s AND state = 'done'"
    until("it is archived", lambda: stack.sql(ended, d=dataset), timeout=500, every=1)
    with console(stack) as seen:
        page = seen.page
        seen.open(f"archive?dataset={dataset}")
        page.get_by_role("listitem").filter(has_text=f"{dataset}_drz.fits").wait_for()
        until("its pictures are there", lambda: pictures(seen))
        page.get_by_role("listitem").get_by_role("link", name=dataset, exact=True).first.click()
        expect(page.get_by_text("9 of 9 nodes done")).to_be_visible()
        expect(page.get_by_role("button", name="2FITS")).to_be_visible()
        page.get_by_role("tab", name="References").click()
        expect(seen.row("BIASFILE")).to_be_visible()
        page.get_by_role("tab", name="Resources").click()
        # The node itself: the name of a host may have these letters, too.
        node = page.get_by_role("cell", name="CA", exact=True)
        expect(page.locator("tbody tr").filter(has=node)).to_contain_text("asked for")
        seen.open("pool")
        expect(page.get_by_text(re.compile(r"of \d+ cores busy"))).to_be_visible()
        page.get_by_role("tab", name="Health").click()
        for daemon in ("gateway", "mirror"):
            expect(seen.row(daemon)).to_contain_text("running")


def pictures(seen: Console) -> bool:
    widths = seen.page.locator("main img, .owl-console img").evaluate_all(
        "all => all.map(one => one.complete ? one.naturalWidth : 0)"
    )
    return bool(widths) and all(widths)


@beside
def test_owl_is_in_airflows_own_pages_in_both_themes(stack: Stack) -> None:
    drill = Drill(stack, "inside")
    drill.will_fail("B", code=28)
    drill.start()
    drill.until_ended("failed", 1)
    colours = set()
    for theme in ("light", "dark"):
        with console(stack, theme=theme) as seen:
            page = seen.page
            expect(page.get_by_role("region", name="OWL")).to_contain_text("failed")
            page.goto(f"{seen.address}/dags/drill/runs/{drill.dataset}")
            page.get_by_role("link", name="OWL dataset").click()
            expect(page.get_by_role("button", name="Rescue", exact=True)).to_be_visible()
            expect(page.get_by_text(SENTENCE).first).to_be_visible()
            page.goto(f"{seen.address}/dags/drill/runs/{drill.dataset}/tasks/B")
            page.get_by_role("link", name="OWL node").click()
            expect(page.get_by_role("log")).to_contain_text("B was told to fail")
            page.get_by_role("link", name="the whole run").click()
            expect(page).to_have_url(re.compile(r"/plugin/owl/run/\d+$"))
            if theme == "light":
                airflows_buttons_lead_into_the_console(seen, drill)
            head = page.locator(".owl-console .owl-table th").first
            colours.add(head.evaluate("one => getComputedStyle(one).backgroundColor"))
    assert len(colours) == 2, "the console does not follow Airflow's theme"


def airflows_buttons_lead_into_the_console(seen: Console, drill: Drill) -> None:
    # Where there is nothing to see, there is no button.
    of_launch = {"OWL dataset", "OWL DAGMan log", "OWL errors of this workflow"}
    until("the failure is counted", lambda: buttons(drill, "launch") == of_launch)
    # A link that is asked for while the database rests is left out.
    until("B's", lambda: buttons(drill, "B") == {"OWL dataset", "OWL node log"})
    until("E's", lambda: buttons(drill, "E") == {"OWL dataset"})
    page = seen.page
    launch = f"{seen.address}/dags/drill/runs/{drill.dataset}/tasks/launch/details"
    page.goto(launch)
    expect(page.get_by_role("link", name="OWL dataset")).to_be_visible()
    page.get_by_role("link", name="OWL errors of this workflow").click()
    expect(seen.row("B", "preview_error").first).to_be_visible()
    page.goto(launch)
    page.get_by_role("link", name="OWL DAGMan log").click()
    expect(page.get_by_role("log")).to_contain_text("EXITING WITH STATUS 1")
    page.get_by_role("tab", name="Nodes").click()


def buttons(drill: Drill, task: str) -> set[str]:
    """Return the extra links of a task that lead somewhere, by Airflow's public API."""
    links = drill.stack.operator.call("GET", f"{drill.path}/taskInstances/{task}/links")
    return {name for name, address in links["extra_links"].items() if address}


@beside
def test_viewer_sees_everything_and_changes_nothing(stack: Stack) -> None:
    drill = Drill(stack, "viewed")
    drill.will_fail("B", code=28)
    drill.start()
    drill.until_ended("failed", 1)
    pages = (
        "alerts",
        "errors",
        "queue",
        "history",
        "pollers",
        "pollers?view=quarantine",
        "campaigns",
        "pool",
    )
    with console(stack, "viewer") as seen:
        page = seen.page
        seen.open(f"flow?search={drill.dataset}")
        row = seen.row(drill.dataset)
        expect(row).to_contain_text("failed")
        expect(page.get_by_text("You may look, not change.")).to_be_visible()
        expect(row.get_by_role("checkbox")).to_have_count(0)
        seen.show_menu(row, page.get_by_role("menuitem", name="Open the run"))
        expect(page.get_by_role("menuitem", name=WRITE_CONTROLS)).to_have_count(0)
        page.get_by_role("menuitem", name="Open the run").click()
        expect(page.get_by_text(SENTENCE).first).to_be_visible()
        expect(page.get_by_role("button", name=WRITE_CONTROLS)).to_have_count(0)
        for place in pages:
            seen.open(place)
            expect(page.get_by_text(re.compile("^as of"))).to_be_visible()
            expect(page.get_by_role("button", name=WRITE_CONTROLS)).to_have_count(0)
            expect(page.locator("[data-control=remove], [data-control=select]")).to_have_count(0)
        for path in writes(seen):
            status, told = seen.ask("POST", path, {})
            assert (status, told["detail"]["kind"]) == (403, "forbidden"), (path, told)
    with console(stack) as seen:
        for path in writes(seen):
            status, told = seen.ask("POST", path, {}, origin="http://evil.example")
            assert (status, told["detail"]["kind"]) == (403, "forbidden"), (path, told)
    assert len(drill.attempts()) == 1


def writes(seen: Console) -> list[str]:
    """Return every route that changes something, from the API's own document."""
    _, document = seen.ask("GET", "openapi.json")
    found = [
        re.sub(r"\{.*?\}", "any", path).removeprefix("/api/")
        for path, methods in document["paths"].items()
        for method in methods
        if method != "get"
    ]
    assert len(found) >= 6
    return found
