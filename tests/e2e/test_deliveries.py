"""Forty mixed files are dropped; exactly the right products come out, the bad ones are set aside.

Through everything real: the shipped pollers in the triggerer, the queue, the shoveler, the pool.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.e2e.live_stack import ROOT, Stack, until

SINGLES = {
    "ACS/HRC": tuple(f"jdel0{n}a{n}q" for n in range(1, 7)),
    "WFC3/UVIS": tuple(f"idel0{n}a{n}q" for n in range(1, 5)),
}
ASSOCIATIONS = ("jdel10010", "jdel20010")
MEMBERS = 3
TWICE = 10
FOLDERS = {"ACS/HRC": "acs", "WFC3/UVIS": "wf3"}


@dataclass
class Delivery:
    """What is dropped where, and what shall become of it."""

    landing: Path
    files: list[tuple[Path, str]] = field(default_factory=list)
    bad: dict[str, str] = field(default_factory=dict)

    def put(self, source: Path, folder: str, name: str | None = None) -> None:
        """Deliver a file as it is."""
        self.files.append((source, f"{folder}/{name or source.name}"))

    def spoil(self, source: Path, folder: str, name: str, data: bytes, why: str) -> None:
        """Deliver other bytes under a name; `why` is a word of the reason."""
        spoilt = source.with_name(f"spoilt-{name}")
        spoilt.write_bytes(data)
        self.bad[name] = why
        self.files.append((spoilt, f"{folder}/{name}"))


def simulate(stack: Stack, folder: Path, detector: str, dataset: str, members: int = 0) -> None:
    command = [sys.executable, "-m", "calibration", "simulate", "--small", "--stars", "5"]
    command += ["--rays", "5", "--detector", detector, "--dataset", dataset]
    command += ["--incoming", str(folder), "--references", stack.environment["OWL_REFERENCES"]]
    command += ["--members", str(members)] if members else []
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=200)


@pytest.fixture
def delivery(alone: Stack, tmp_path: Path) -> Delivery:
    """Forty files, not yet dropped."""
    source = tmp_path / "made"
    delivery = Delivery(Path(alone.environment["OWL_INCOMING"]))
    for detector, names in SINGLES.items():
        for name in names:
            simulate(alone, source, detector, name)
            delivery.put(source / f"{name}_raw.fits", FOLDERS[detector])
    for name in ASSOCIATIONS:
        simulate(alone, source, "ACS/HRC", name, MEMBERS)
        for path in sorted(source.glob(f"{name[:6]}a*_raw.fits")):
            delivery.put(path, "acs")
        delivery.put(source / f"{name}_asn.fits", "acs")
    good = (source / "jdel01a1q_raw.fits").read_bytes()
    for number in range(1, 5):
        name = f"jdel9{number}a{number}q_raw.fits"
        delivery.spoil(source / "x", "acs", name, good[: -2880 * number + 7], "truncated")
    for name in ("notes.txt.fits", "jdel_raw.fits", "JDEL01A1Q raw.fits", "zdel01a1q_raw.fits"):
        delivery.spoil(source / "x", "acs", name, good, "name")
    for number in (1, 2):
        delivery.spoil(source / "x", "wf3", f"idel8{number}a1q_raw.fits", b"", "empty")
    delivery.spoil(source / "x", "acs", "jdel77a1q_raw.fits", good, "ROOTNAME")
    delivery.spoil(source / "x", "wf3", "jdel78a1q_raw.fits", good, "name")
    # Some come a second time, with the same content.
    delivery.files += [item for item in delivery.files if item[1].endswith("q_raw.fits")][:TWICE]
    assert len(delivery.files) == 40
    return delivery


def drop(delivery: Delivery, item: tuple[Path, str]) -> None:
    """Deliver as a careless sender does: straight under the final name."""
    source, name = item
    target = delivery.landing / name
    target.parent.mkdir(exist_ok=True)
    shutil.copyfile(source, target)


@pytest.mark.e2e
def test_forty_mixed_files(alone: Stack, delivery: Delivery) -> None:
    stack = alone
    dice = random.Random(os.environ.get("OWL_SEED", "1"))
    missing = next(item for item in delivery.files if item[1].startswith("acs/jdel20ad"))
    first = [item for item in delivery.files if item is not missing]
    # The copies of what comes twice are second deliveries, wherever the dice put them.
    dice.shuffle(first)
    again: list[tuple[Path, str]] = []
    seen: set[str] = set()
    for item in first:
        if item[1] in seen:
            again.append(item)
            continue
        seen.add(item[1])
        drop(delivery, item)
    datasets = [name for names in SINGLES.values() for name in names]
    until("the singles are done", lambda: done(stack, datasets), timeout=500, every=1)
    until("association 1 is done", lambda: done(stack, ASSOCIATIONS[:1]), timeout=300, every=1)
    for item in again:
        drop(delivery, item)
    (waits,) = stack.sql("SELECT * FROM owl_queue WHERE fileset = %(a)s", a=ASSOCIATIONS[1])
    assert (waits["type"], waits["priority"]) == ("collecting_asn_sci", 0)
    assert waits["reason"].count("jdel20") == 1
    assert "jdel20ad" in waits["reason"]
    drop(delivery, missing)
    until("association 2 is done", lambda: done(stack, ASSOCIATIONS[1:]), timeout=300, every=1)
    until("nothing is left to look at", lambda: not left(delivery), every=1)
    check_journal(stack, delivery)
    check_products(stack, [*datasets, *ASSOCIATIONS])
    check_quarantine(stack, delivery)


def done(stack: Stack, datasets: list[str] | tuple[str, ...]) -> bool:
    rows = stack.sql(
        """SELECT r.dataset FROM owl_run r JOIN owl_queue_history h USING (dag_id, run_id)
           WHERE r.state = 'done' AND h.outcome = 'done' AND r.dataset = ANY(%(d)s)""",
        d=list(datasets),
    )
    failed = stack.sql(
        "SELECT dataset, state FROM owl_run WHERE dataset = ANY(%(d)s) AND state = 'failed'",
        d=list(datasets),
    )
    assert not failed
    return {row["dataset"] for row in rows} == set(datasets)


def left(delivery: Delivery) -> list[str]:
    """Return what still lies in the landing folders."""
    return [name for _, name in delivery.files if (delivery.landing / name).exists()]


def check_journal(stack: Stack, delivery: Delivery) -> None:
    """No entry twice, no run twice, no informational entry left."""
    assert not stack.sql("SELECT * FROM owl_queue WHERE fileset ~ '^[ij]del'")
    entries = stack.sql(
        "SELECT fileset, type, outcome FROM owl_queue_history WHERE fileset ~ '^[ij]del'"
    )
    work = Counter(row["fileset"] for row in entries if row["outcome"] != "resolved")
    expected = [*(n for names in SINGLES.values() for n in names), *ASSOCIATIONS]
    assert work == Counter(expected), entries
    runs = stack.sql("SELECT dataset FROM owl_run WHERE dataset ~ '^[ij]del'")
    assert Counter(row["dataset"] for row in runs) == Counter(expected)
    states = Counter(
        row["state"]
        for row in stack.sql("SELECT state FROM owl_arrival WHERE name ~ '[Dd][Ee][Ll]|notes'")
    )
    assert states["quarantined"] == len(delivery.bad)
    assert states["duplicate"] == TWICE


def check_products(stack: Stack, datasets: list[str]) -> None:
    """Each dataset's product is in the archive and in its catalogue."""
    archive = Path(stack.environment["OWL_ARCHIVE"])
    assert {path.name for path in archive.glob("?del*")} == set(datasets)
    rows = until(
        "the catalogue knows them",
        lambda: (
            (
                found := stack.sql(
                    "SELECT * FROM owl_product WHERE dataset = ANY(%(d)s) AND calib_level >= 2",
                    d=datasets,
                )
            )
            and {row["dataset"] for row in found} == set(datasets)
            and found
        ),
        every=1,
    )
    assert all(Path(row["access_url"].removeprefix("file://")).is_file() for row in rows)
    for dataset in datasets:
        verified = stack.owl("archive", "verify", dataset, "--json")
        assert verified.returncode == 0, verified.stdout + verified.stderr
        assert json.loads(verified.stdout)["files"] > 1


def check_quarantine(stack: Stack, delivery: Delivery) -> None:
    """Each bad file lies in quarantine beside its reason."""
    folder = Path(stack.environment["OWL_QUARANTINE"])
    reasons = {}
    for path in folder.rglob("*.reason.json"):
        told = json.loads(path.read_text())
        reasons[told["name"]] = told["reason"]
    for name, word in delivery.bad.items():
        assert word.lower() in reasons[name].lower(), (name, reasons.get(name))
