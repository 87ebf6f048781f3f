"""What deliveries must never do: lose a file, stop a poller for good, hide the newest content."""

from __future__ import annotations

import gzip
import os
import time
from contextlib import closing
from pathlib import Path

import pytest

from htcondor_operator.blackboard.connection import connect_url
from htcondor_operator.queue.pollers.retry import retry
from htcondor_operator.settings import Settings
from tests.integration.deliveries_support import (
    as_bytes,
    deliver,
    journal,
    poller_of,
    queue,
    raw,
    rounds,
    settings_at,
    table,
)

pytestmark = pytest.mark.database


@pytest.fixture
def site(database: str, tmp_path: Path) -> Settings:
    return settings_at(tmp_path, database)


@pytest.fixture
def acs(site: Settings) -> Path:
    return site.incoming / "acs"


def test_two_forms_of_one_exposure_in_one_round_leave_the_newer_one(
    site: Settings, acs: Path, tmp_path: Path
) -> None:
    packed = deliver(
        acs, "jaaa01abq_raw.fits.gz", gzip.compress(as_bytes(raw("jaaa01abq"), tmp_path))
    )
    plain = deliver(acs, "jaaa01abq_raw.fits", raw("jaaa01abq", seed=2))
    os.utime(packed, (1_000, 1_000))
    os.utime(plain, (2_000, 2_000))
    rounds(poller_of(site))
    there = [p.name for p in site.incoming.iterdir() if p.is_file()]
    assert there == ["jaaa01abq_raw.fits"]
    assert list(queue(site.database_url)) == [("jaaa01abq", "sdp_prearch_acs")]


def test_a_file_that_owl_cannot_read_does_not_stop_the_others(site: Settings) -> None:
    dan = site.incoming / "dan"
    deliver(dan, "night7.dan.json", b"[" * 200_000)
    deliver(dan, "night8.dan.json", b'{"delivery": "night8", "files": [{"name": "\\ud800"}]}')
    change = {"name": "DAN", "kind": "delivery", "directory": "dan", "pattern": "*.dan.json"}
    watcher = poller_of(site, {**change, "workflow": "dan_receipt"})
    assert rounds(watcher) == {"quarantined": 2}
    reasons = {row["name"]: row["reason"] for row in journal(site.database_url)}
    assert "OWL cannot read it (RecursionError" in reasons["night7.dan.json"]


def test_a_reason_that_quotes_a_file_can_be_written(site: Settings, acs: Path) -> None:
    path = deliver(acs, "jaaa01abq_raw.fits", raw("jaaa01abq"))
    Path(f"{path}.sha256").write_bytes(b"0" * 64 + b"  j\0aaa\n")
    checked = poller_of(site, {"complete": {"rule": "checksum", "seconds": 0}})
    assert rounds(checked) == {"quarantined": 1}
    assert r"names j\x00aaa instead" in journal(site.database_url)[0]["reason"]


def test_a_file_in_its_place_that_cannot_be_read_just_now_is_not_given_up(
    site: Settings, acs: Path
) -> None:
    class Killed(Exception):
        pass

    def die(point: str) -> None:
        if point == "moved":
            raise Killed

    deliver(acs, "jaaa01abq_raw.fits", raw("jaaa01abq"))
    with pytest.raises(Killed):
        rounds(poller_of(site, point=die))
    place = site.incoming / "jaaa01abq_raw.fits"
    place.chmod(0)
    again = poller_of(site)
    assert again.round().counts == {}
    place.chmod(0o644)
    assert again.round().counts == {"queued": 1}


def test_the_deadline_of_checksums_outlives_a_poller(site: Settings) -> None:
    """Its DAG runs end each hour at the latest, and each begins with a new poller."""
    csum = site.incoming / "csum"
    change = {"name": "CSUM", "kind": "checksum", "directory": "csum", "pattern": "*"}
    deliver(csum, "jaaa01aeq_raw.fits", raw("jaaa01aeq"))
    time.sleep(1.1)
    watcher = poller_of(site, {**change, "options": {"to": "acs", "deadline": 1}})
    assert rounds(watcher, 2) == {"quarantined": 1}


def test_a_retried_file_is_the_newest_of_its_name(site: Settings, acs: Path) -> None:
    first = raw("jaaa01abq", INSTRUME="WFC3")
    deliver(acs, "jaaa01abq_raw.fits", first)
    poller = poller_of(site)
    assert rounds(poller) == {"quarantined": 1}
    deliver(acs, "jaaa01abq_raw.fits", raw("jaaa01abq", seed=2))
    assert rounds(poller) == {"queued": 1}
    # The former file is good after all, for a poller that takes both instruments.
    number = min(row["id"] for row in journal(site.database_url))
    with (
        closing(connect_url(site.database_url, application="test")) as connection,
        connection,
        connection.cursor() as cur,
    ):
        retry(cur, number, who="me")
    lenient = poller_of(site, {"instrument": None})
    assert sum(rounds(lenient).values()) == 1
    place = site.incoming / "jaaa01abq_raw.fits"
    newest = place.read_bytes()
    # Delivered once more: it is what is in place. The other one is older.
    deliver(acs, "jaaa01abq_raw.fits", first)
    assert rounds(lenient) == {"duplicate": 1}
    deliver(acs, "jaaa01abq_raw.fits", raw("jaaa01abq", seed=2))
    assert rounds(lenient) == {"quarantined": 1}
    assert place.read_bytes() == newest


def test_what_waits_for_jitter_goes_on_when_none_is_needed_any_more(
    site: Settings, acs: Path
) -> None:
    deliver(acs, "jaaa01abq_raw.fits", raw("jaaa01abq"))
    assert rounds(poller_of(site, {"options": {"needs": ["jit"]}})) == {"awaiting_jitter": 1}
    assert rounds(poller_of(site), 1) == {"jitter_released": 1, "queued": 1}
    assert list(queue(site.database_url)) == [("jaaa01abq", "sdp_prearch_acs")]


def test_an_association_that_its_workflow_cannot_take_is_held(site: Settings, acs: Path) -> None:
    members = [f"jbig01{letter}bq" for letter in "abcdefghi"]
    for member in members:
        deliver(acs, f"{member}_raw.fits", raw(member, "jbig01010"))
    deliver(acs, "jbig01010_asn.fits", table("jbig01010", members))
    assert rounds(poller_of(site)) == {"collected": 10, "associations": 1}
    (entry,) = queue(site.database_url).values()
    assert entry["state"] == "held"
    assert "complete: 9 members; held: params.members" in entry["reason"]
    assert entry["reason"].endswith("(up to eight names of member exposures to be calibrated).")
