"""Repro workflows end to end: DAGMan runs them, the mirror's own thread catalogues the products."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from calibration_site import MEMBER_NODES, ROOT, Site, make_site
from mirror_support import Board, mirror, submit, until

from htcondor_operator.condor.bindings import Bindings
from htcondor_operator.condor.pool import PersonalPool
from htcondor_operator.dagman.render import render
from htcondor_operator.dagman.workflows import load_workflows

pytestmark = [pytest.mark.pool, pytest.mark.database]

WORKFLOWS = load_workflows(ROOT / "include" / "templates")
SINGLE = ("2FITS", "RF", "BC", "CA", "MD", "AC", "INGEST_SCI", "PVW", "CL")


@pytest.fixture
def site(run_dir: Path) -> Site:
    """The folders as they are below OWL_HOME."""
    data = run_dir / "home" / "data"
    data.mkdir(parents=True)
    return make_site(data)


def launch(
    bindings: Bindings,
    board: Board,
    site: Site,
    run_dir: Path,
    name: str,
    dataset: str,
    params: Mapping[str, Any],
) -> int:
    """Render and submit a workflow as the gateway does; return the run's key."""
    folder = run_dir / f"{name}_{dataset}"
    (folder / "logs").mkdir(parents=True)
    path = folder / f"{name}.dag"
    context = {
        "dataset": dataset,
        "run_dir": str(folder),
        "work_dir": str(site.root / "work" / f"{name}_{dataset}"),
        "python": sys.executable,
        "pythonpath": str(ROOT),
        "params": params,
        **{f"{n}_dir": str(site.root / n) for n in ("incoming", "archive", "references")},
    }
    path.write_text(render(WORKFLOWS[name], {**context, "run": 0}).text)
    run = board.add_run(path, dataset)
    rendered = render(WORKFLOWS[name], {**context, "run": run})
    path.write_text(rendered.text)
    board.rows(
        "UPDATE owl_run SET workflow = %(w)s, template_hash = %(h)s WHERE run_key = %(r)s",
        w=name, h=rendered.template_hash, r=run,
    )  # fmt: skip
    submit(bindings, path, run)
    return run


def ended(board: Board, run: int) -> bool:
    return board.run_state(run) in ("done", "failed")


@pytest.mark.timeout(900)
def test_repro_of_a_single_an_association_and_a_receipt(
    pool: PersonalPool, bindings: Bindings, board: Board, site: Site, run_dir: Path
) -> None:
    single = site.simulate("--detector", "ACS/HRC", "--small", "--dataset", "jsim02a1q")[0]
    for node in SINGLE:
        site.must(node, single)
    name, *members = site.simulate(
        "--detector", "ACS/HRC", "--small", "--members", "3", "--dataset", "jsim01010",
        "--engineering", "2",
    )  # fmt: skip
    for member in members[:2]:
        for node in (*MEMBER_NODES, "MD", "AC", "INGEST_SCI", "CL"):
            site.must(node, member)
    # A delivery of which one file has not come.
    notice = {"delivery": "night7", "files": [{"name": "a.fits", "bytes": 3, "sha256": "0" * 64}]}
    (site.root / "incoming" / "night7.dan.json").write_text(json.dumps(notice))

    before = site.archived(single, f"{single}_flt.fits").read_bytes()
    with mirror(pool, board.url, run_dir / "home", "--reconcile", "2"):
        repro = launch(bindings, board, site, run_dir, "acs_single_repro", single, {})
        params = {"members": members[2:], "archived": members[:2]}
        mixed = launch(bindings, board, site, run_dir, "sdp_prearch_acs_asn", name, params)
        dan = launch(bindings, board, site, run_dir, "dan_receipt", "night7", {})
        jitter = launch(bindings, board, site, run_dir, "eng_jitter", members[0], {})
        until(
            lambda: all(ended(board, run) for run in (repro, mixed, dan, jitter)),
            360,
            lambda: [board.states(run) for run in (repro, mixed, dan, jitter)],
        )
        assert board.run_state(jitter) == "done", board.states(jitter)
        assert board.run_state(repro) == "done", board.states(repro)
        assert board.run_state(mixed) == "done", board.states(mixed)
        assert board.nodes(dan)["DAN", 0]["exit_code"] == 49
        again = launch(bindings, board, site, run_dir, "acs_asn_repro", name, {"members": members})
        until(lambda: ended(board, again), 240, lambda: board.states(again))
        assert board.run_state(again) == "done", board.states(again)
        until(lambda: len(catalogued(board, "night7")) == 2)
        # What releases an exposure that waits for it.
        until(lambda: f"{members[0]}_jit.fits" in catalogued(board, members[0]))
        until(lambda: f"{name}_preview.png" in catalogued(board, name))

    # The same references and software: the same products, which stay those of who made them.
    assert site.archived(single, f"{single}_flt.fits").read_bytes() == before
    assert {row["workflow"] for row in catalogued(board, name).values()} == {"sdp_prearch_acs_asn"}
    rows = catalogued(board, name)
    assert rows[f"{name}_crj.fits"]["run_key"] == mixed
    assert rows[f"{name}_crj.fits"]["members"] == members
    assert {"REUSE_1", "REUSE_2", "CA_1", "CRCOMB"} <= {n for n, _ in board.nodes(mixed)}
    assert not list((site.root / "work").iterdir())
    receipt = json.loads(site.archived("night7", "night7_receipt.json").read_text())
    assert receipt["counts"] == {"missing": 1}


def catalogued(board: Board, dataset: str) -> dict[str, dict[str, Any]]:
    found = board.rows("SELECT * FROM owl_product WHERE dataset = %(d)s", d=dataset)
    return {row["name"]: row for row in found}
