"""Makes the pictures of the console, every page in both themes, from a running stack.

    ./owl up
    ./owl -- python docs/make_console_screenshots.py

Needs a Chromium (``apt-get install chromium``). The story: simulated exposures of ACS are delivered
and calibrated; two deliveries are not what they should be and go to quarantine; drills fail by two
causes, one waits; a campaign runs, and entries wait in the queue.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from make_screenshots import FLAGS, optimise
from playwright.sync_api import Browser, Page, sync_playwright

from htcondor_operator.launcher.api import Api
from htcondor_operator.launcher.home import Home, load_secrets

WIDTH, HEIGHT = 1440, 900
THEMES = ("light", "dark")
FAILS = {"drill102": ("C", 28), "drill103": ("C", 28), "drill104": ("C", 28), "drill106": ("A", 42)}
WAITS = ("drill105", "E")


def call(*words: str) -> None:
    """Run a command of OWL's; what is there already is well."""
    subprocess.run(["owl", *words], check=False, stdout=subprocess.DEVNULL)


def simulate(name: str, folder: Path) -> Path:
    """Make a small raw frame with its references; return its path."""
    command = [sys.executable, "-m", "calibration", "simulate", "--detector", "ACS/HRC"]
    command += ["--dataset", name, "--small", "--incoming", str(folder)]
    command += ["--references", os.environ["OWL_REFERENCES"]]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return folder / f"{name}_raw.fits"


def deliver(made: Path) -> list[str]:
    """Deliver three good exposures and two bad ones; return the good ones' names."""
    landing = Path(os.environ["OWL_INCOMING"]) / "acs"
    landing.mkdir(parents=True, exist_ok=True)
    names = [f"jdoc0{n}a{n}q" for n in (1, 2, 3)]
    for name in names:
        data = simulate(name, made).read_bytes()
        (landing / f"{name}_raw.fits").write_bytes(data)
    (landing / "jdoc09a9q_raw.fits").write_bytes(data[:-2000])
    (landing / "readme.txt").write_text("The frames of tonight.\n")
    return names


def drill(api: Api, control: Path) -> None:
    """Start drills: most end well, some fail by one of two causes, one waits."""
    for name, (node, code) in FAILS.items():
        (control / f"{name}.{node}.fail").write_text(f"{code}\n")
    (control / f"{WAITS[0]}.{WAITS[1]}.wait").touch()
    for name in [f"drill{n}" for n in range(101, 109)]:
        api.trigger("drill", name, {"dataset": name, "control": str(control), "sleep_s": 2})


def fill_queue(control: Path) -> None:
    """Begin a campaign of which some fail, and leave entries waiting."""
    names = [f"flat{n:03d}" for n in range(1, 25)]
    for name in names[3:6]:
        (control / f"{name}.B.fail").write_text("28\n")
    # Few: a small machine has four slots, and the rest has to go on.
    for name in names[-2:]:
        (control / f"{name}.D.wait").touch()
    listed = control / "flats.list"
    listed.write_text("\n".join(names) + "\n")
    call(
        *("campaign", "create", "flats7", "--type", "drill", "--datasets", str(listed)),
        *("--param", f"control={control}", "--reason", "new flats", "--by", "mira"),
    )
    for priority, name in ((0, "jdoc21a1q"), (50, "jdoc22a2q"), (0, "jdoc23a3q")):
        call(
            *("queue", "add", name, "--type", "sdp_prearch_acs", "--priority", str(priority)),
            *("--hold", "--reason", "waits for the new dark", "--by", "jo"),
        )


def wait(what: str, look: Callable[[], bool], seconds: float = 240) -> None:
    """Wait until something is so."""
    end = time.monotonic() + seconds
    while not look():
        if time.monotonic() > end:
            raise TimeoutError(what)
        time.sleep(1)


class Camera:
    """A logged-in browser with one theme."""

    def __init__(
        self, page: Page, address: str, folder: Path, theme: str, only: Collection[str] = ()
    ) -> None:
        self.page = page
        self.only = only
        self.address = address
        self.folder = folder
        self.theme = theme

    def ask(self, path: str) -> Any:
        """Ask the console's API."""
        return self.page.request.get(f"{self.address}/owl/api/{path}").json()

    def run_key(self, dataset: str) -> int:
        """Return the run of a dataset."""
        return int(self.ask(f"flow?search={dataset}")["rows"][0]["run_key"])

    def take(self, name: str, path: str, wait_for: str, before: str = "") -> None:
        """Open a page, press what is `before`, wait for what it must show, and keep a picture."""
        if self.only and name not in self.only:
            return
        self.page.goto(self.address + path)
        if before:
            self.page.locator(before).first.click()
        self.page.get_by_text(wait_for).first.wait_for()
        # Pictures and fonts come a moment later; nothing says when the last one is there.
        self.page.wait_for_load_state("load")
        self.page.wait_for_timeout(1200)
        self.page.mouse.move(WIDTH - 5, HEIGHT - 5)
        shot = self.folder / f"console-{name}-{self.theme}.png"
        self.page.screenshot(path=shot)
        optimise(shot)
        print(shot, shot.stat().st_size)


def take_all(camera: Camera, product: str) -> None:
    """Take every page."""
    failed, good = camera.run_key("drill102"), camera.run_key(product)
    owl = "/plugin/owl"
    camera.take("dashboard", "/", "OWL: data flow")
    camera.take("flow", f"{owl}/flow", "drill102")
    nodes = "[aria-label^='Nodes of drill102']"
    camera.take("flow-nodes", f"{owl}/flow?search=drill10", "Had an ancestor", before=nodes)
    camera.take("run", f"{owl}/run/{failed}", "preview_error")
    camera.take("log", f"{owl}/run/{failed}?view=log&node=C", "was told to fail")
    rescue = "button:text-is('Rescue')"
    camera.take("rescue", f"{owl}/run/{failed}", "kept as done", before=rescue)
    camera.take("resources", f"{owl}/run/{good}?view=resources", "asked for")
    camera.take("products", f"{owl}/run/{good}?view=products", f"{product}_drz.fits")
    camera.take("dataset", f"{owl}/dataset/{product}", f"{product}_drz.fits")
    camera.take("alerts", f"{owl}/alerts", "datasets failed in C")
    camera.take("errors", f"{owl}/errors", "preview error")
    camera.take("queue", f"{owl}/queue", "jdoc22a2q")
    camera.take("history", f"{owl}/history", "flat001")
    camera.take("pollers", f"{owl}/pollers", "DP_ACS")
    camera.take("quarantine", f"{owl}/pollers?view=quarantine", "readme.txt")
    camera.take("campaigns", f"{owl}/campaigns?name=flats7", "Failures by kind")
    camera.take("pool", f"{owl}/pool", "cores busy")
    camera.take("health", f"{owl}/pool?view=health", "mirror")
    camera.take("archive", f"{owl}/archive", f"{product}_drz.fits")
    run = "/dags/drill/runs/drill102"
    camera.take("dag-run", f"{run}/plugin/owl-dataset", "Timeline")
    camera.take("task", f"{run}/tasks/C/plugin/owl-node", "was told to fail")


@contextmanager
def logged_in(browser: Browser, address: str, password: str, theme: str) -> Iterator[Page]:
    """Log in as the operator."""
    context = browser.new_context(viewport={"width": WIDTH, "height": HEIGHT})
    context.set_default_timeout(120_000)
    context.add_init_script(f"localStorage.setItem('theme', {json.dumps(theme)})")
    page = context.new_page()
    page.goto(f"{address}/")
    page.fill('input[name="username"]', "operator")
    page.fill('input[name="password"]', password)
    page.click('button[type="submit"]')
    page.get_by_role("link", name="OWL", exact=True).wait_for()
    yield page
    context.close()


def settled(camera: Camera, names: list[str]) -> bool:
    """Whether the story is told: the products are there, the drills have ended or wait."""
    done = {row["dataset"] for row in camera.ask("flow?search=jdoc&status=done")["rows"]}
    failed = len(camera.ask("flow?status=failed&limit=500")["rows"])
    parked = len(camera.ask("pollers/arrivals?state=quarantined")["rows"])
    alerts = {row["rule"] for row in camera.ask("alerts")["rows"]}
    told = {"dataset_failed"} <= alerts
    return told and set(names) <= done and failed >= len(FAILS) + 3 and parked >= 2


def main() -> None:
    """Tell the story and take the pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "images")
    parser.add_argument("--chromium", default="/usr/bin/chromium")
    parser.add_argument("--only", nargs="*", default=(), help="names of pictures: flow, run, ...")
    parser.add_argument("--themes", nargs="*", default=THEMES)
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    home = Home.current()
    address = os.environ["AIRFLOW__API__BASE_URL"]
    password = load_secrets(home).passwords["operator"]
    api = Api(address, "operator", password)
    api.wait_for_dag("drill")
    control = home.root / "data" / "control"
    control.mkdir(exist_ok=True)
    names = deliver(home.root / "data" / "made")
    drill(api, control)
    fill_queue(control)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=options.chromium, args=FLAGS)
        for theme in options.themes:
            with logged_in(browser, address, password, theme) as page:
                camera = Camera(page, address, options.output, theme, options.only)
                wait("the runs end", lambda camera=camera: settled(camera, names))  # type: ignore[misc]
                take_all(camera, names[0])
        browser.close()


if __name__ == "__main__":
    main()
