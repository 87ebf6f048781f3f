"""The main job on real frames: stage them, trigger one run per dataset, watch, show the products.

Everything is named after the dataset, so a second demo finds the runs of the first and waits for
nothing.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg2
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table

from htcondor_operator.launcher import environment
from htcondor_operator.launcher.api import Api
from htcondor_operator.launcher.environment import Stack
from htcondor_operator.launcher.home import CHECKOUT, Home, load_secrets
from htcondor_operator.launcher.stack import tail, up
from htcondor_operator.vocabulary import ErrorKind, OwlError

WORKFLOWS = {
    "i": "sdp_prearch_wf3",
    "j": "sdp_prearch_acs",
    "l": "sdp_prearch_cos",
    "o": "sdp_prearch_stis",
}
"""Workflow of an exposure, by the first letter of its rootname."""

COLOURS = {
    "done": "green",
    "running": "cyan",
    "failed": "bold red",
    "held": "magenta",
    "removed": "red",
    "unknown": "yellow",
    "idle": "blue",
}

SIMULATED = {"jsim01aaq": "ACS/HRC", "jsim02aaq": "ACS/WFC"}
"""Datasets of a demo without real frames, and their detectors."""

GLYPHS = {
    "done": "✔",
    "running": "▶",
    "failed": "✘",
    "held": "‖",
    "removed": "⊘",
    "unknown": "?",
    "idle": "…",
    "submitted": "…",
    "futile": "–",
}
LEGEND = "✔ done  ▶ running  … queued  ✘ failed  ‖ held  – futile  ? unknown"

Say = Callable[[str], None]


@dataclass(frozen=True)
class Progress:
    """Where one dataset is."""

    dataset: str
    workflow: str
    state: str
    nodes: tuple[tuple[str, str], ...]
    """Node and state, in the workflow's order."""
    error: str

    @property
    def is_over(self) -> bool:
        """Whether nothing more will happen by itself."""
        return self.state in {"done", "failed", "removed"}


def demo(home: Home, say: Say, timeout: float) -> int:
    """Run the demo; return 0 when every dataset is archived."""
    began = time.monotonic()
    stack = up(home, say)
    datasets = stage(stack, say)
    api = Api(stack.address, "admin", load_secrets(home).passwords["admin"], timeout=90)
    runs = {dataset: (workflow_of(dataset), f"demo__{dataset}") for dataset in datasets}
    for workflow in sorted({workflow for workflow, _ in runs.values()}):
        api.wait_for_dag(workflow)
    new = [d for d, (dag, run) in runs.items() if api.trigger(dag, run, {"dataset": d})]
    old = len(runs) - len(new)
    say(f"{len(new)} new runs" + (f", {old} are there already" if old else ""))
    found = watch(stack, list(runs.values()), timeout)
    sys.stdout.write("\n")
    _wait_for_airflow(api, runs.values(), timeout=240)
    return _report(stack, found, say, time.monotonic() - began)


def workflow_of(dataset: str) -> str:
    """Return the workflow for a Hubble exposure."""
    try:
        return WORKFLOWS[dataset[0]]
    except KeyError as error:
        known = ", ".join(WORKFLOWS)
        raise OwlError(
            ErrorKind.BAD_NAME, f"dataset {dataset!r}: the demo knows names beginning with {known}."
        ) from error


def stage(stack: Stack, say: Say) -> list[str]:
    """Put input frames and references where the nodes read them; return the datasets."""
    folders = {
        name: stack.environment[f"OWL_{name.upper()}"] for name in ("incoming", "references")
    }
    targets = [word for name, folder in folders.items() for word in (f"--{name}", folder)]
    shared = shared_data(os.environ)
    if shared:
        say(f"real Hubble frames from {shared}")
        sources = [shared / "hst" / "reftabs", shared / "oracle" / "hrc_47tuc" / "ref"]
        references = [str(folder) for folder in sources if folder.is_dir()]
        frames = str(shared / "hst" / "acs_hrc_raw")
        return _calibration(
            stack, ["stage", "--raw", frames, "--reference-source", *references, *targets]
        )
    say("no ../shared/data: simulated frames")
    found = []
    for dataset, detector in SIMULATED.items():
        raw = Path(folders["incoming"]) / f"{dataset}_raw.fits"
        # A frame that was simulated before stays as it is: its products were made of it.
        if raw.exists():
            found.append(dataset)
        else:
            options = ["--dataset", dataset, "--detector", detector]
            found += _calibration(stack, ["simulate", *options, *targets])
    return found


def _calibration(stack: Stack, command: list[str]) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-m", "calibration", *command],
        cwd=CHECKOUT,
        env={**environment.outside(stack.home), **stack.environment},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    if done.returncode:
        words = (done.stderr or done.stdout).strip()[-2000:]
        raise OwlError(ErrorKind.NODE_FAILED, f"calibration {command[0]}: {words}")
    datasets: list[str] = json.loads(done.stdout.strip().splitlines()[-1])["datasets"]
    return datasets


def shared_data(env: Any) -> Path | None:
    """Return the folder of real frames, if there is one."""
    folder = Path(env.get("OWL_SHARED_DATA") or CHECKOUT.parent / "shared" / "data")
    return folder if (folder / "hst" / "acs_hrc_raw").is_dir() else None


_PROGRESS = """
    SELECT r.dataset, r.workflow, r.state, r.graph -> 'nodes',
           coalesce(a.error_message, ''),
           (SELECT json_object_agg(n.node, n.state) FROM (
                SELECT DISTINCT ON (node) node, state FROM owl_node
                 WHERE run_key = r.run_key AND attempt = r.latest_attempt
                 ORDER BY node, try DESC) AS n)
      FROM owl_run r
      LEFT JOIN owl_attempt a ON a.run_key = r.run_key AND a.attempt = r.latest_attempt
     WHERE (r.dag_id, r.run_id) IN %(runs)s
     ORDER BY r.dataset
"""


def progress(cursor: Any, runs: Sequence[tuple[str, str]]) -> list[Progress]:
    """Read from the blackboard where the runs are."""
    cursor.execute(_PROGRESS, {"runs": tuple(runs)})
    found = []
    for dataset, workflow, state, order, error, states in cursor.fetchall():
        known = states or {}
        nodes = tuple((name, known.get(name, "unready")) for name in order or known)
        found.append(Progress(dataset, workflow, state, nodes, error))
    return found


def watch(stack: Stack, runs: Sequence[tuple[str, str]], timeout: float) -> list[Progress]:
    """Show the runs until all are over."""
    console = Console()
    end = time.monotonic() + timeout
    url = stack.environment["OWL_DATABASE_URL"]
    printed: dict[str, str] = {}
    with (
        closing(psycopg2.connect(url, connect_timeout=10, application_name="owl-demo")) as link,
        Live(console=console, refresh_per_second=4) as live,
    ):
        link.autocommit = True
        while True:
            with link.cursor() as cursor:
                found = progress(cursor, runs)
            if console.is_terminal:
                live.update(table(found))
            else:
                _print_changes(found, printed)
            if len(found) == len(runs) and all(run.is_over for run in found):
                live.update(table(found), refresh=True)
                return found
            if time.monotonic() > end:
                live.update(table(found))
                log = tail(stack.home.logs / "scheduler.log")
                raise OwlError(
                    ErrorKind.INTERNAL, f"the runs are not over after {timeout:.0f} s.\n{log}"
                )
            time.sleep(0.5)


def table(found: Iterable[Progress]) -> Group:
    """Return datasets x nodes, narrow enough for 80 columns."""
    rows = list(found)
    columns: dict[str, None] = {}
    for run in rows:
        columns.update(dict.fromkeys(name for name, _ in run.nodes))
    result = Table(padding=(0, 0))
    for name in ("dataset", "run", *columns):
        result.add_column(name, no_wrap=True, justify="center" if name in columns else "left")
    for run in rows:
        states = dict(run.nodes)
        cells = [_coloured(states.get(name, ""), short=True) for name in columns]
        result.add_row(run.dataset, _coloured(run.state), *cells)
    return Group(result, LEGEND)


def _coloured(state: str, *, short: bool = False) -> str:
    colour = COLOURS.get(state)
    text = GLYPHS.get(state, "") if short else state
    return f"[{colour}]{text}[/]" if colour else text


def _print_changes(found: list[Progress], printed: dict[str, str]) -> None:
    for run in found:
        done = sum(state == "done" for _, state in run.nodes)
        busy = [f"{n} {s}" for n, s in run.nodes if s in {"running", "failed", "held"}]
        line = f"{run.dataset}: {run.state} {done}/{len(run.nodes)} {', '.join(busy)}"
        if printed.get(run.dataset) != line:
            printed[run.dataset] = line
            sys.stdout.write(line + "\n")
            sys.stdout.flush()


def _wait_for_airflow(api: Api, runs: Iterable[tuple[str, str]], timeout: float) -> None:
    """Wait until the grid says what the blackboard says."""
    end = time.monotonic() + timeout
    for dag, run in runs:
        while api.call("GET", f"/dags/{dag}/dagRuns/{run}")["state"] not in {"success", "failed"}:
            if time.monotonic() > end:
                raise OwlError(ErrorKind.INTERNAL, f"Airflow's run {dag} {run} does not end.")
            time.sleep(0.5)


def _report(stack: Stack, found: list[Progress], say: Say, seconds: float) -> int:
    bad = [run for run in found if run.state != "done"]
    for run in bad:
        failed = ", ".join(name for name, state in run.nodes if state == "failed")
        say(f"{run.dataset}: {run.state} {failed} {run.error}")
        say(f"  correct the cause, then clear {failed or 'launch'} in the UI: {stack.address}")
    for run in found:
        shelf = Path(stack.environment["OWL_ARCHIVE"]) / run.dataset
        for kind, path in archived(shelf):
            say(f"{kind}: {path}")
    admin = load_secrets(stack.home).passwords["admin"]
    say(f"{len(found) - len(bad)} of {len(found)} datasets archived in {seconds:.0f} s")
    say(f"UI: {stack.address}  login: admin  password: {admin}")
    return 1 if bad else 0


def archived(shelf: Path) -> list[tuple[str, Path]]:
    """Return products and previews of a dataset in the archive."""
    kinds = {".fits": "product", ".png": "preview", ".jpg": "preview", ".jpeg": "preview"}
    paths = [p for p in sorted(shelf.glob("*")) if p.suffix in kinds and "_raw" not in p.stem]
    return sorted((kinds[path.suffix], path) for path in paths)[::-1]
