"""The catalogue on a real PostgreSQL, filled from the shelves of really calibrated datasets."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from calibration_site import MEMBER_NODES, ROOT, Site, make_site
from mirror_support import Board

from htcondor_operator.blackboard import catalogue
from htcondor_operator.blackboard.catalogue_rows import upsert_products
from htcondor_operator.mirror.catalogue import Cataloguer
from htcondor_operator.mirror.manifest import read_rows

pytestmark = pytest.mark.database

ASN = "jsim01010"
SINGLE = ("2FITS", "RF", "BC", "CA", "MD", "AC", "INGEST_SCI", "PVW", "CL")


@pytest.fixture(scope="module")
def shelves(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive with a single exposure (WFC3) and an association of two (ACS)."""
    site = make_site(tmp_path_factory.mktemp("calibrated"))
    single = site.simulate("--detector", "WFC3/UVIS", "--small", "--dataset", "isim02a1q")[0]
    for node in SINGLE:
        site.must(node, single)
    name, *members = site.simulate(
        "--detector", "ACS/HRC", "--small", "--members", "2", "--dataset", ASN
    )
    for member in members:
        for node in MEMBER_NODES:
            site.must(node, member)
    for node in ("CRCOMB", "MD", "AC", "INGEST_SCI", "PVW", "CL"):
        site.must(node, name, "--members", ",".join(members))
    return site.root


@pytest.fixture
def site(shelves: Path, tmp_path: Path) -> Site:
    for name in ("archive", "incoming", "references"):
        shutil.copytree(shelves / name, tmp_path / name)
    (tmp_path / "work").mkdir()
    return Site(tmp_path)


@pytest.fixture
def board(database: str) -> Iterator[Board]:
    made = Board(database)
    yield made
    made.connection.close()


def add_run(board: Board, dataset: str, workflow: str, began: datetime, *nodes: str) -> int:
    """A run of one attempt whose nodes have ended."""
    run = board.rows(
        """INSERT INTO owl_run (dag_id, run_id, workflow, dataset, template_hash, latest_attempt)
           VALUES (%(w)s, %(id)s, %(w)s, %(d)s, %(hash)s, 1) RETURNING run_key""",
        w=workflow, id=f"{dataset} {began}", d=dataset, hash=f"hash of {workflow}",
    )[0]["run_key"]  # fmt: skip
    board.rows(
        """INSERT INTO owl_attempt (run_key, attempt, kind, state, requested_at, submitted_at)
           VALUES (%(run)s, 1, 'first', 'live', %(began)s, %(began)s)""",
        run=run, began=began,
    )  # fmt: skip
    for node in nodes:
        end_node(board, run, node)
    return int(run)


def end_node(board: Board, run: int, node: str) -> None:
    board.rows(
        """INSERT INTO owl_node (run_key, attempt, node, task_id, state)
           VALUES (%(run)s, 1, %(node)s, %(node)s, 'done')""",
        run=run, node=node,
    )  # fmt: skip


def end_run(board: Board, run: int) -> None:
    board.rows("UPDATE owl_attempt SET ended_at = now() WHERE run_key = %(run)s", run=run)


def cataloguer(board: Board, site: Site) -> Cataloguer:
    return Cataloguer(lambda: psycopg2.connect(board.url), site.root / "archive")


def look(cataloguer: Cataloguer, board: Board) -> int:
    connection = psycopg2.connect(board.url)
    try:
        return cataloguer.look(connection)
    finally:
        connection.close()


def owl(board: Board, site: Site, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        "OWL_DATABASE_URL": board.url,
        "OWL_HOME": str(site.root),
        "OWL_ARCHIVE": str(site.root / "archive"),
        "PYTHONPATH": f"{ROOT / 'plugins'}:{ROOT}",
        "COLUMNS": "250",
    }
    entrance = "from htcondor_operator.cli import main; main()"
    command = [sys.executable, "-c", entrance, "archive", *words]
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, check=False, timeout=120
    )


def products(board: Board) -> dict[str, dict[str, Any]]:
    return {row["name"]: row for row in board.rows("SELECT * FROM owl_product")}


def test_what_a_node_archived_is_catalogued_with_provenance(board: Board, site: Site) -> None:
    thread = cataloguer(board, site)
    assert look(thread, board) == 0
    began = datetime.now(UTC) - timedelta(hours=1)
    run = add_run(board, "isim02a1q", "sdp_prearch_wf3", began, "2FITS", "INGEST_SCI")
    assert look(thread, board) == 7
    assert look(thread, board) == 0
    found = products(board)
    flt = found["isim02a1q_flt.fits"]
    raw = site.root / "incoming" / "isim02a1q_raw.fits"
    delivered = site.run("header", str(raw), "--json")
    facts = json.loads(delivered.stdout)["observation"]
    assert (flt["dataproduct_type"], flt["dataproduct_subtype"], flt["calib_level"]) == (
        "image", "flt", 2,
    )  # fmt: skip
    assert {n: found[f"isim02a1q_{n}.fits"]["calib_level"] for n in ("raw", "drz")} == {
        "raw": 1, "drz": 3,
    }  # fmt: skip
    assert (flt["workflow"], flt["run_key"], flt["attempt"]) == ("sdp_prearch_wf3", run, 1)
    assert flt["template_hash"] == "hash of sdp_prearch_wf3"
    assert (flt["instrument_name"], flt["detector"]) == ("WFC3", "UVIS")
    assert (flt["t_min"], flt["t_exptime"]) == (facts["t_min"], 300.0)
    assert flt["t_max"] == pytest.approx(flt["t_min"] + 300 / 86400)
    assert flt["observed_at"] == datetime(2003, 12, 27, 12, tzinfo=UTC)
    assert (flt["s_ra"], flt["s_dec"], flt["proposal_id"]) == (6.027, -72.083, "9999")
    assert flt["reference_files"]["DARKFILE"].endswith("_drk.fits")
    assert flt["reference_keys"]["DARKCORR"] == "PERFORM"
    assert {"calibration", "numpy", "astropy"} <= set(flt["software"])
    assert (
        flt["raw_sha256"]
        == subprocess.run(["sha256sum", raw], capture_output=True, text=True, check=True).stdout[
            :64
        ]
    )
    assert flt["access_url"] == (site.root / "archive/isim02a1q/isim02a1q_flt.fits").as_uri()
    assert flt["access_estsize"] == -(-flt["bytes"] // 1024)
    # A second life of the thread finds everything done.
    assert look(cataloguer(board, site), board) == 0


def test_what_was_committed_long_after_its_time_is_found_by_a_wider_look(
    board: Board, site: Site
) -> None:
    now = datetime.now(UTC)
    add_run(board, "nobody", "sdp_prearch_wf3", now, "2FITS")
    thread = cataloguer(board, site)
    assert look(thread, board) == 0
    run = add_run(board, "isim02a1q", "sdp_prearch_wf3", now, "INGEST_SCI")
    board.rows(
        "UPDATE owl_node SET updated_at = now() - interval '10 min' WHERE run_key = %(run)s",
        run=run,
    )
    assert look(thread, board) == 0
    thread._wide_at = 0.0
    assert look(thread, board) == 7


def test_a_machine_whose_clock_is_ahead_hides_nothing(board: Board, site: Site) -> None:
    add_run(board, "isim02a1q", "sdp_prearch_wf3", datetime.now(UTC), "INGEST_SCI")
    assert look(cataloguer(board, site), board) == 7
    board.rows("DELETE FROM owl_product WHERE name <> 'isim02a1q_raw.fits'")
    board.rows("UPDATE owl_product SET archived_at = now() + interval '3 hours'")
    # The mirror starts again, and looks for what is newer than the newest product.
    look(cataloguer(board, site), board)
    assert len(products(board)) == 7


def test_a_later_run_gets_only_what_it_replaced(board: Board, site: Site) -> None:
    began = datetime.now(UTC) - timedelta(hours=1)
    first = add_run(board, "isim02a1q", "sdp_prearch_wf3", began, "INGEST_SCI")
    thread = cataloguer(board, site)
    look(thread, board)
    end_run(board, first)
    board.rows("UPDATE owl_attempt SET ended_at = ended_at - interval '30 s'")
    board.rows("UPDATE owl_product SET verified_at = now()")
    before = products(board)
    second = add_run(board, "isim02a1q", "wf3_single_repro", datetime.now(UTC), "FETCH")
    assert look(thread, board) == 0
    old = next((site.root / "references").glob("*uvis*_drk.fits"))
    newer_dark(old)
    for node in ("FETCH", *SINGLE[1:]):
        site.must(node, "isim02a1q")
    end_node(board, second, "INGEST_SCI")
    assert look(thread, board) == 7  # the raw file's row, too: its reference files changed
    after = products(board)
    replaced = {n for n in after if after[n]["sha256"] != before[n]["sha256"]}
    assert {n.rpartition("_")[2] for n in replaced} >= {"flt.fits", "drz.fits", "preview.png"}
    for name, row in after.items():
        new = name in replaced
        assert row["run_key"] == (second if new else first), name
        assert row["workflow"] == ("wf3_single_repro" if new else "sdp_prearch_wf3")
        assert (row["verified_at"] is None) is new
        assert row["id"] == before[name]["id"]
    assert after["isim02a1q_flt.fits"]["reference_files"]["DARKFILE"] == "newer_drk.fits"
    # The delivered file is still the same one, whatever RF writes into the header.
    assert len({row["raw_sha256"] for row in after.values() if row["raw_sha256"]}) == 1


def newer_dark(old: Path) -> None:
    from astropy.io import fits

    with fits.open(old) as hdus:
        hdus[0].header["USEAFTER"] = "Jan 01 1995 00:00:00"
        for hdu in hdus:
            if hdu.name == "SCI":
                hdu.data *= 2
        hdus.writeto(old.with_name("newer_drk.fits"))


def test_thread_sees_a_manifest_within_seconds_and_outlives_the_database(
    board: Board, site: Site, postgres: Any
) -> None:
    name = board.url.partition("?")[0].rpartition("/")[2]
    thread = cataloguer(board, site)
    thread.start()
    time.sleep(1.5)
    postgres.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        f" WHERE datname = '{name}' AND pid <> pg_backend_pid()"
    )
    board.connection.close()
    board = Board(board.url)
    add_run(board, "isim02a1q", "sdp_prearch_wf3", datetime.now(UTC), "INGEST_SCI")
    limit = time.monotonic() + 60
    while len(products(board)) < 7:
        assert time.monotonic() < limit
        time.sleep(0.1)
    thread.stop()
    thread.join(60)
    assert not thread.is_alive()
    board.connection.close()


def test_a_damaged_manifest_does_not_stop_the_others(board: Board, site: Site) -> None:
    (site.root / "archive" / ASN / "manifest.json").write_text("{")
    now = datetime.now(UTC)
    add_run(board, ASN, "sdp_prearch_acs_asn", now, "INGEST_SCI")
    add_run(board, "isim02a1q", "sdp_prearch_wf3", now, "INGEST_SCI")
    add_run(board, "no_shelf", "drill", now, "A")
    assert look(cataloguer(board, site), board) == 7
    rebuilt = owl(board, site, "rebuild", "--json")
    assert rebuilt.returncode == 1
    assert "Move it away" in json.loads(rebuilt.stdout)["damaged"][0]


def test_queries_of_pollers_and_campaigns(board: Board, site: Site) -> None:
    assert owl(board, site, "rebuild").returncode == 0
    members = ("jsim01abq", "jsim01acq")
    digests = {
        row["obs_id"]: row["raw_sha256"]
        for row in board.rows("SELECT obs_id, raw_sha256 FROM owl_product WHERE raw_sha256 <> ''")
    }
    with board.connection.cursor() as cur:
        given = {members[0].upper(): digests[members[0]], members[1]: "0" * 64, "isim02a1q": None}
        assert catalogue.archived_members(cur, given) == {members[0].upper()}
        assert catalogue.archived_members(cur, {}) == set()
        board.rows("UPDATE owl_product SET fault = 'x' WHERE name LIKE '%%_flt.fits'")
        assert catalogue.archived_members(cur, given) == set()


def test_owl_archive_commands(board: Board, site: Site) -> None:
    done = owl(board, site, "rebuild", "--json")
    assert done.returncode == 0, done.stderr
    total = json.loads(done.stdout)["written"]
    assert total == len(products(board))
    assert json.loads(owl(board, site, "rebuild", "--json").stdout)["written"] == 0

    page = json.loads(owl(board, site, "list", "--limit", "5", "--json").stdout)
    rest = owl(board, site, "list", "--after", str(page[-1]["id"]), "--limit", "100", "--json")
    assert len(page) + len(json.loads(rest.stdout)) == total
    names = lambda *words: {  # noqa: E731
        row["name"] for row in json.loads(owl(board, site, "list", *words, "--json").stdout)
    }
    assert names("--dataset", "jsim*", "--level", "3") == {f"{ASN}_crj.fits", f"{ASN}_drz.fits"}
    assert names("--instrument", "WF3", "--subtype", "flt") == {"isim02a1q_flt.fits"}
    assert not names("--from", "2003-12-28")
    assert names("--to", "2003-12-28", "--type", "image", "--level", "3")
    shown = owl(board, site, "show", ASN)
    assert "members jsim01abq, jsim01acq" in shown.stdout
    assert "DARKFILE" in shown.stdout
    assert owl(board, site, "show", "nothere").returncode == 2
    assert "--from 'x' is no time" in owl(board, site, "list", "--from", "x").stderr


def test_verify_finds_what_is_damaged_missing_or_cut(board: Board, site: Site) -> None:
    owl(board, site, "rebuild")
    clean = owl(board, site, "verify", "--all", "--json")
    assert clean.returncode == 0, clean.stderr
    assert json.loads(clean.stdout)["files"] == len(products(board))
    assert all(row["verified_at"] for row in products(board).values())
    assert (
        json.loads(owl(board, site, "verify", "--all", "--older-than", "1d", "--json").stdout)[
            "files"
        ]
        == 0
    )

    shelf = site.root / "archive" / ASN
    damaged, missing, cut = (shelf / f"{ASN}_{s}.fits" for s in ("crj", "drz", "asn"))
    content = bytearray(damaged.read_bytes())
    content[-3000] ^= 1
    damaged.write_bytes(content)
    missing.unlink()
    cut.write_bytes(cut.read_bytes()[:2880])
    found = owl(board, site, "verify", ASN, "--json")
    assert found.returncode == 1
    faults = {f["name"]: f["fault"] for f in json.loads(found.stdout)["faults"]}
    assert set(faults) == {damaged.name, missing.name, cut.name}
    assert "sha256" in faults[damaged.name]
    assert faults[missing.name] == "is missing"
    assert "2880 bytes instead of" in faults[cut.name]
    rows = products(board)
    assert {n for n, row in rows.items() if row["fault"]} == set(faults)
    listed = owl(board, site, "list", "--faulty", "--json")
    assert {row["name"] for row in json.loads(listed.stdout)} == set(faults)
    assert owl(board, site, "verify").returncode == 2
    # The manifest says another content now: the catalogue lags behind, the file is well.
    site.must("PVW", "isim02a1q", "--replace")
    board.rows("UPDATE owl_product SET sha256 = '0' WHERE name = 'isim02a1q_preview.png'")
    assert owl(board, site, "verify", "isim02a1q").returncode == 0


def test_rows_without_a_file_are_pruned_on_request(board: Board, site: Site) -> None:
    owl(board, site, "rebuild")
    row = read_rows(site.root / "archive" / "isim02a1q")[0]
    with board.connection.cursor() as cur:
        upsert_products(cur, [{**row, "name": "isim02a1q_old.fits"}])
    assert json.loads(owl(board, site, "rebuild", "--json").stdout)["removed"] == 0
    assert json.loads(owl(board, site, "rebuild", "--prune", "--json").stdout)["removed"] == 1


def test_thousands_of_rows_are_written_by_one_statement(board: Board, site: Site) -> None:
    rows = read_rows(site.root / "archive" / "isim02a1q")
    many = [{**row, "dataset": f"isim{k:05d}"} for k in range(1000) for row in rows]
    with board.connection.cursor() as cur:
        assert upsert_products(cur, many) == 7_000
        assert upsert_products(cur, many) == 0
    # Each statement is a transaction of its own here.
    assert board.rows("SELECT count(DISTINCT xmin::text) AS n FROM owl_product") == [{"n": 1}]


def test_one_manifest_that_lies_does_not_stop_the_others(board: Board, site: Site) -> None:
    """What FITS headers say comes into manifests: a time without end, a text with NUL."""
    archive = site.root / "archive"
    lies = {"aendless": {"t_min": 1e300}, "bnul": {"target": "a\0b"}, "cword": {"s_ra": "north"}}
    for name, facts in lies.items():
        shelf = archive / name
        shelf.mkdir()
        entry = {"bytes": 1, "sha256": "0" * 64}
        manifest = {"files": {f"{name}_raw.fits": entry}, "observations": {name: facts}}
        (shelf / "manifest.json").write_text(json.dumps(manifest))
    began = datetime.now(UTC) - timedelta(hours=1)
    for name in (*lies, "isim02a1q"):
        add_run(board, name, "sdp_prearch_wf3", began, "INGEST_SCI")
    thread = cataloguer(board, site)
    assert look(thread, board) == 7
    assert look(thread, board) == 0
    assert {row["dataset"] for row in products(board).values()} == {"isim02a1q"}
    done = owl(board, site, "rebuild", "--json")
    assert done.returncode == 1
    told = json.loads(done.stdout)
    assert len(told["damaged"]) == 3
    assert told["written"] == len(products(board)) - 7


def test_an_archive_that_is_not_mounted_has_no_faults(board: Board, site: Site) -> None:
    assert owl(board, site, "rebuild").returncode == 0
    archive = site.root / "archive"
    archive.rename(site.root / "unmounted")
    archive.mkdir()
    done = owl(board, site, "verify", "--all")
    assert (done.returncode, "is empty: nothing is called missing" in done.stderr) == (2, True)
    assert not [row for row in products(board).values() if row["fault"]]
