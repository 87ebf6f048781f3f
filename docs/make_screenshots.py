"""Makes the pictures of the documentation from a running stack, with real runs.

    ./owl up
    ./owl -- python docs/make_screenshots.py

Needs a Chromium (``apt-get install chromium``) and the stack's own environment, which ``./owl --``
gives. The story: datasets are processed; then a dark reference is delivered damaged and a run fails
in CA; the reference is mended, the failed task cleared, and DAGMan goes on from there.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import Page, sync_playwright

from htcondor_operator.launcher.api import Api
from htcondor_operator.launcher.home import Home, load_secrets

DAG = "sdp_prearch_acs"
DATASETS = ("j8bt05njq", "j8bt06o6q")
BROKEN = "hrc_drk.fits"
WIDTH, HEIGHT = 1280, 800
LIMIT = 200_000
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def stage(shared: Path) -> None:
    """Put real frames and references where the nodes read them."""
    subprocess.run(
        [
            *(sys.executable, "-m", "calibration", "stage"),
            *("--raw", str(shared / "hst" / "acs_hrc_raw")),
            *("--reference-source", str(shared / "oracle" / "hrc_47tuc" / "ref")),
            *("--incoming", os.environ["OWL_INCOMING"]),
            *("--references", os.environ["OWL_REFERENCES"]),
        ],
        check=True,
    )


@contextmanager
def damaged_reference() -> Iterator[None]:
    """Truncate a reference file, and put it back at the end."""
    path = Path(os.environ["OWL_REFERENCES"]) / BROKEN
    kept = path.with_suffix(".kept")
    shutil.copyfile(path, kept)
    try:
        os.truncate(path, path.stat().st_size // 2)
        yield
    finally:
        kept.replace(path)


def run(api: Api, dag: str, run_id: str, conf: dict[str, object]) -> str:
    """Trigger a run (unless it is there) and return its final state."""
    api.trigger(dag, run_id, conf)
    return wait(api, dag, run_id)


def wait(api: Api, dag: str, run_id: str, seconds: float = 180) -> str:
    """Return the final state of a DagRun."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        state = str(api.call("GET", f"/dags/{dag}/dagRuns/{run_id}")["state"])
        if state in {"success", "failed"}:
            return state
        time.sleep(1)
    raise TimeoutError(f"{dag} {run_id} does not end")


def nights(api: Api, label: str) -> str:
    """Process every dataset on two nights; on the third a reference is damaged.

    Returns the run that failed.
    """
    for night in (1, 2):
        # Both runs of a dataset would share its work folder, so one night after the other.
        for dataset in DATASETS:
            api.trigger(DAG, f"{label}{night}__{dataset}", {"dataset": dataset})
        for dataset in DATASETS:
            print(night, dataset, wait(api, DAG, f"{label}{night}__{dataset}"))
    good, bad = DATASETS
    run(api, DAG, f"{label}3__{good}", {"dataset": good})
    with damaged_reference():
        print(3, bad, run(api, DAG, f"{label}3__{bad}", {"dataset": bad}))
    return f"{label}3__{bad}"


def clear(api: Api, dag: str, run_id: str, task: str) -> None:
    """Clear a task and what follows it, as the button does."""
    body = {
        "dry_run": False,
        "dag_run_id": run_id,
        "task_ids": [task],
        "include_downstream": True,
        "only_failed": False,
        "reset_dag_runs": True,
    }
    api.call("POST", f"/dags/{dag}/clearTaskInstances", body)


class Camera:
    """A logged-in browser."""

    def __init__(self, page: Page, address: str, folder: Path) -> None:
        self.page = page
        self.address = address
        self.folder = folder

    def log_in(self, user: str, password: str) -> None:
        """Log in by the form."""
        self.page.goto(f"{self.address}/")
        self.page.fill('input[name="username"]', user)
        self.page.fill('input[name="password"]', password)
        self.page.click('button[type="submit"]')
        self.page.wait_for_url(f"{self.address}/**")
        self.page.wait_for_selector("nav, [data-testid], main", timeout=30_000)

    def take(self, name: str, path: str, *, view: str = "grid", wait_for: str = "") -> None:
        """Open a page and keep a picture of it."""
        self.page.evaluate(
            "([dag, view]) => { localStorage.setItem('default_dag_view', JSON.stringify(view));"
            " localStorage.setItem('log_wrap', 'true');"
            " localStorage.setItem(`direction-${dag}`, JSON.stringify('DOWN')); }",
            [DAG, view],
        )
        self.page.goto(self.address + path, wait_until="load")
        if wait_for:
            self.page.locator(wait_for).first.wait_for(timeout=60_000)
        self.page.wait_for_timeout(2500)
        if view == "grid":
            self._widen_grid()
        shot = self.folder / f"{name}.png"
        self.page.screenshot(path=shot)
        optimise(shot)
        print(shot, shot.stat().st_size)

    def _widen_grid(self, to: int = 520) -> None:
        """Pull the border between grid and details to the right."""
        box = self.page.locator("[data-panel-resize-handle-id], [role=separator]").first
        place = box.bounding_box()
        if place is None:
            return
        self.page.mouse.move(place["x"] + place["width"] / 2, 600)
        self.page.mouse.down()
        self.page.mouse.move(to, 600, steps=8)
        self.page.mouse.up()
        self.page.mouse.move(WIDTH - 5, HEIGHT - 5)
        self.page.wait_for_timeout(2500)


def optimise(path: Path) -> None:
    """Reduce a screenshot to a palette until it is small."""
    with Image.open(path) as picture:
        flat = picture.convert("RGB")
    for colours in (256, 128, 64):
        flat.quantize(colours, method=Image.Quantize.MEDIANCUT).save(path, optimize=True)
        if path.stat().st_size < LIMIT:
            return


def take_all(camera: Camera, api: Api, failed: str) -> None:
    """Take the pictures; the rescue happens between them."""
    base = f"/dags/{DAG}/runs/{failed}"
    camera.take("grid", f"/dags/{DAG}")
    camera.take("graph", base, view="graph", wait_for=".react-flow__node")
    camera.take("log-failed", f"{base}/tasks/CA", wait_for="text=reference_bad")
    clear(api, DAG, failed, "CA")
    print("rescued:", wait(api, DAG, failed))
    camera.take("grid-rescued", base)
    camera.take("log-launch", f"{base}/tasks/launch", wait_for="text=attempt 2")


def main() -> None:
    """Make the runs and the pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "images")
    parser.add_argument("--chromium", default="/usr/bin/chromium")
    parser.add_argument("--label", default="night", help="what the runs' names begin with")
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    address = os.environ["AIRFLOW__API__BASE_URL"]
    password = load_secrets(Home.current()).passwords["admin"]
    api = Api(address, "admin", password)
    api.wait_for_dag(DAG)
    stage(Path(os.environ.get("OWL_SHARED_DATA", "../shared/data")))
    failed = nights(api, options.label)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=options.chromium, args=FLAGS)
        page: Any = browser.new_page(
            viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="light"
        )
        camera = Camera(page, address, options.output)
        camera.log_in("admin", password)
        take_all(camera, api, failed)
        browser.close()


if __name__ == "__main__":
    main()
