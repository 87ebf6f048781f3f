"""Delivered files on their way to the queue: real files, a real database."""

from __future__ import annotations

import gzip
import json
import os
import random
import subprocess
import sys
from collections import Counter
from itertools import count
from pathlib import Path

import pytest

from htcondor_operator.settings import Settings
from htcondor_operator.vocabulary import OwlError
from tests.integration.deliveries_support import (
    as_bytes,
    deliver,
    execute,
    journal,
    poller_of,
    queue,
    raw,
    rounds,
    rows,
    settings_at,
    table,
)

pytestmark = pytest.mark.database

SINGLE = "sdp_prearch_acs"
ASSOCIATION = "sdp_prearch_acs_asn"


@pytest.fixture
def site(database: str, tmp_path: Path) -> Settings:
    return settings_at(tmp_path, database)


@pytest.fixture
def acs(site: Settings) -> Path:
    return site.incoming / "acs"


def sums(folder: Path, command: list[str]) -> str:
    """Return what ``sha256sum`` or ``md5sum`` says."""
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout


def quarantined(settings: Settings, poller: str = "DP_ACS") -> dict[str, str]:
    """Return what lies in quarantine, with the reasons beside it."""
    folder = settings.quarantine / poller
    if not folder.is_dir():
        return {}
    return {
        p.name: json.loads((folder / f"{p.name}.reason.json").read_text())["reason"]
        for p in folder.iterdir()
        if not p.name.endswith(".reason.json")
    }


def test_a_single_exposure_is_queued_once(site: Settings, acs: Path) -> None:
    path = deliver(acs, "jaaa01abq_raw.fits", raw("jaaa01abq"))
    content = path.read_bytes()
    poller = poller_of(site)
    assert poller.round().found == 0  # one look is not enough
    assert poller.round().counts == {"queued": 1}
    entry = queue(site.database_url)["jaaa01abq", SINGLE]
    assert (entry["state"], entry["instrument"], entry["requested_by"]) == (
        "waiting",
        "ACS",
        "DP_ACS",
    )
    assert entry["payload"] == {}
    assert (site.incoming / "jaaa01abq_raw.fits").read_bytes() == content
    assert not path.exists()
    (arrival,) = journal(site.database_url)
    assert (arrival["state"], arrival["entry"], arrival["type"]) == ("queued", entry["id"], SINGLE)

    deliver(acs, "jaaa01abq_raw.fits", content)
    assert rounds(poller) == {"duplicate": 1}
    assert not path.exists()
    assert len(queue(site.database_url)) == 1
    deliver(acs, "jaaa01abq_raw.fits", content)
    assert rounds(poller_of(site)) == {"duplicate": 1}  # after a restart too
    assert Counter(row["state"] for row in journal(site.database_url)) == {
        "queued": 1,
        "duplicate": 1,
    }


def test_a_duplicate_whose_file_is_gone_is_put_back(site: Settings, acs: Path) -> None:
    content = deliver(acs, "jaaa01abq_raw.fits", raw("jaaa01abq")).read_bytes()
    poller = poller_of(site)
    rounds(poller)
    (site.incoming / "jaaa01abq_raw.fits").unlink()
    deliver(acs, "jaaa01abq_raw.fits", content)
    assert rounds(poller) == {"duplicate": 1}
    assert (site.incoming / "jaaa01abq_raw.fits").read_bytes() == content


def test_new_content_is_queued_again_and_old_content_is_not(site: Settings, acs: Path) -> None:
    first = deliver(acs, "jaaa01abq_raw.fits", raw("jaaa01abq", seed=1)).read_bytes()
    poller = poller_of(site)
    rounds(poller)
    deliver(acs, "jaaa01abq_raw.fits", raw("jaaa01abq", seed=2))
    assert rounds(poller) == {"merged": 1}
    deliver(acs, "jaaa01abq_raw.fits", first)
    assert rounds(poller) == {"quarantined": 1}
    assert "older content" in quarantined(site)["jaaa01abq_raw.fits"]


def test_a_former_delivery_does_not_hide_a_new_one(site: Settings, acs: Path) -> None:
    poller = poller_of(site)
    deliver(acs, "jaaa01abq_raw.fits", raw("jaaa01abq", seed=1))
    deliver(acs, "jaaa01abq_spt.fits", raw("jaaa01abq", seed=1))
    rounds(poller)
    packed = gzip.compress(as_bytes(raw("jaaa01abq", seed=2), acs.parent))
    deliver(acs, "jaaa01abq_raw.fits.gz", packed)
    rounds(poller)
    found = sorted(p.name for p in site.incoming.glob("j*"))
    assert found == ["jaaa01abq_raw.fits.gz", "jaaa01abq_spt.fits"]
    # Nor does the former one when it comes again.
    deliver(acs, "jaaa01abq_raw.fits", raw("jaaa01abq", seed=1))
    rounds(poller)
    assert sorted(path.name for path in site.incoming.glob("*.fits*")) == found


def test_bad_files_go_to_quarantine_with_a_reason(site: Settings, acs: Path) -> None:
    good = as_bytes(raw("jaaa01abq"), acs.parent)
    deliver(acs, "jaaa01acq_raw.fits", b"")
    deliver(acs, "jaaa01adq_raw.fits", good)
    deliver(acs, "jaaa01aeq_raw.fits", good[: len(good) - 1000])
    deliver(acs, "jaaa01afq_raw.fits", good[: len(good) - 2880])
    deliver(acs, "jaaa01agq_raw.fits", b"no fits at all" * 1000)
    deliver(acs, "jaaa01ahq_raw.fits.gz", gzip.compress(good)[:-300])
    deliver(acs, "jaaa01aiq_raw.fits", raw("jaaa01aiq", INSTRUME="WFC3"))
    deliver(acs, "notes.txt", b"hello")
    deliver(acs, "jaaa01ajq_flt.fits", good)
    (acs / "jaaa01akq_raw.fits").symlink_to("/etc/passwd")
    os.mkfifo(acs / "jaaa01alq_raw.fits")
    odd = os.fsdecode(b"jaaa01\xff\nq_raw.fits")
    (acs / odd).write_bytes(good)
    (acs / "sub").mkdir()
    deliver(acs / "sub", "jaaa01amq_raw.fits", raw("jaaa01amq"))
    (acs / ".nfs0001").write_bytes(good)
    (acs / "jaaa01anq_raw.fits.part").write_bytes(good)
    poller = poller_of(site)
    assert rounds(poller, 3) == {"quarantined": 12}
    reasons = quarantined(site)
    expected = {
        "jaaa01acq_raw.fits": "it is empty (0 bytes)",
        "jaaa01adq_raw.fits": "its ROOTNAME is 'jaaa01abq', but its name says 'jaaa01adq'",
        "jaaa01aeq_raw.fits": "bytes that its header says: it is truncated",
        "jaaa01afq_raw.fits": "has 0 of the 2880 bytes",
        "jaaa01agq_raw.fits": "it is no FITS file",
        "jaaa01ahq_raw.fits.gz": "the gzip stream is damaged or truncated",
        "jaaa01aiq_raw.fits": "its INSTRUME is 'WFC3', but here files of ACS are delivered",
        "notes.txt": "its name is not of the form j*.fits or j*.fits.gz",
        "jaaa01ajq_flt.fits": "its name is not <root>.tlm or <root>_<suffix>.fits",
        "jaaa01akq_raw.fits": "it is a symbolic link",
        "jaaa01alq_raw.fits": "it is not a regular file",
        r"jaaa01\xff\nq_raw.fits": "its name has odd bytes",
    }
    assert set(reasons) == set(expected)
    for name, words in expected.items():
        assert words in reasons[name], (name, reasons[name])
    assert queue(site.database_url) == {}
    assert {row["name"]: row["reason"] for row in journal(site.database_url)} == reasons
    assert all(Path(row["path"]).name in reasons for row in journal(site.database_url))
    # What is temporary, or in a subfolder, is left alone.
    assert sorted(p.name for p in acs.iterdir()) == [".nfs0001", "jaaa01anq_raw.fits.part", "sub"]
    assert rounds(poller_of(site), 2) == {}


@pytest.mark.skipif(os.getuid() == 0, reason="root can read everything")
def test_unreadable_files_and_folders(site: Settings, acs: Path) -> None:
    deliver(acs, "jaaa01abq_raw.fits", raw("jaaa01abq")).chmod(0)
    poller = poller_of(site)
    assert rounds(poller) == {"quarantined": 1}
    assert quarantined(site)["jaaa01abq_raw.fits"] == "it cannot be read: Permission denied"
    # A folder from which nothing can be moved: an error that an operator sees, and no loss.
    path = deliver(acs, "jaaa01acq_raw.fits", raw("jaaa01acq"))
    empty = deliver(acs, "jaaa01adq_raw.fits", b"")
    acs.chmod(0o555)
    with pytest.raises(OwlError, match=r"2 files in .* cannot be moved, the first: jaaa01a[cd]q"):
        rounds(poller, 3)
    assert path.exists()
    assert empty.exists()
    acs.chmod(0o755)
    again = poller_of(site)
    assert rounds(again) == {"queued": 1, "quarantined": 1}
    states = Counter(row["state"] for row in journal(site.database_url))
    assert states == {"quarantined": 2, "queued": 1}


def test_truncated_telemetry(site: Settings, acs: Path, shared_data: Path) -> None:
    source = shared_data / "hst/acs_hrc_raw/j8bt06o6q_raw.fits"
    command = [sys.executable, "-m", "calibration", "simulate", "--incoming", str(acs)]
    root = Path(__file__).parents[2]
    acs.mkdir()
    subprocess.run([*command, "--telemetry-from", str(source)], check=True, cwd=root)
    content = (acs / "j8bt06o6q.tlm").read_bytes()
    (acs / "j8bt06o6q.tlm").unlink()
    deliver(acs, "j8bt06o6q.tlm", content[:-1])
    poller = poller_of(site, {"workflow": SINGLE})
    assert rounds(poller) == {"quarantined": 1}
    assert "it is truncated: the packet at byte" in quarantined(site)["j8bt06o6q.tlm"]
    deliver(acs, "j8bt05xxq.tlm", content)
    assert rounds(poller) == {"quarantined": 1}
    assert "its ROOTNAME is 'j8bt06o6q'" in quarantined(site)["j8bt05xxq.tlm"]
    deliver(acs, "j8bt06o6q.tlm", content)
    assert rounds(poller) == {"queued": 1}
    # The telemetry names its association.
    (acs.parent / "j8bt06o6q.tlm").unlink()
    execute(site.database_url, "DELETE FROM owl_arrival")
    deliver(acs, "j8bt06o6q.tlm", content)
    assert rounds(poller_of(site)) == {"collected": 1}
    assert ("j8bt06040", "collecting_asn_sci") in queue(site.database_url)


def test_a_late_writer_is_waited_for(site: Settings, acs: Path) -> None:
    content = as_bytes(raw("jaaa01abq"), acs.parent)
    acs.mkdir()
    poller = poller_of(site)
    for end in range(2880, len(content) + 1, 2880):
        with (acs / "jaaa01abq_raw.fits").open("ab") as stream:
            stream.write(content[end - 2880 : end])
        result = poller.round()
        assert (result.found, result.note) == (0, "1 file not whole yet")
    assert poller.round().counts == {"queued": 1}


def test_marker_and_checksum_companions(site: Settings, acs: Path) -> None:
    deliver(acs, "jaaa01abq_raw.fits", raw("jaaa01abq"))
    poller = poller_of(site, {"complete": {"rule": "marker", "suffix": ".done"}})
    assert rounds(poller) == {}
    (acs / "jaaa01abq_raw.fits.done").touch()
    assert rounds(poller, 1) == {"queued": 1}
    assert list(acs.iterdir()) == []

    checked = poller_of(site, {"complete": {"rule": "checksum", "seconds": 0}})
    for name, digest, expected in (
        ("jaaa01acq", None, {"queued": 1}),
        ("jaaa01adq", "0" * 64, {"quarantined": 1}),
    ):
        path = deliver(acs, f"{name}_raw.fits", raw(name))
        assert rounds(checked) == {}
        found = sums(acs, ["sha256sum", path.name])
        (acs / f"{path.name}.sha256").write_text(f"{digest}  {path.name}\n" if digest else found)
        assert rounds(checked) == expected
    assert "jaaa01adq_raw.fits.sha256 says 000" in _reason(site, "jaaa01adq_raw.fits")
    assert (site.quarantine / "DP_ACS" / "jaaa01adq_raw.fits.sha256").exists()
    assert list(acs.iterdir()) == []


def _reason(settings: Settings, name: str) -> str:
    path = settings.quarantine / "DP_ACS" / f"{name}.reason.json"
    return str(json.loads(path.read_text())["reason"])


# Associations.


def test_members_and_table_in_any_order(site: Settings, acs: Path) -> None:
    members = ["jaaa01abq", "jaaa01acq", "jaaa01adq"]
    poller = poller_of(site)
    deliver(acs, "jaaa01abq_raw.fits", raw("jaaa01abq", "jaaa01010"))
    rounds(poller)
    info = queue(site.database_url)["jaaa01010", "collecting_asn_sci"]
    assert info["state"] == "informational"
    assert info["reason"].startswith("1 member, its table has not come; until ")
    deliver(acs, "jaaa01010_asn.fits", table("jaaa01010", members))
    rounds(poller)
    info = queue(site.database_url)["jaaa01010", "collecting_asn_sci"]
    assert info["reason"].startswith("1 of 3 members; missing jaaa01acq, jaaa01adq; until ")
    deliver(acs, "jaaa01acq_raw.fits", raw("jaaa01acq", "jaaa01010"))
    rounds(poller)
    deliver(acs, "jaaa01adq_raw.fits", raw("jaaa01adq", "jaaa01010"))
    assert rounds(poller) == {"collected": 1, "associations": 1}
    (key,) = queue(site.database_url)
    assert key == ("jaaa01010", ASSOCIATION)
    entry = queue(site.database_url)[key]
    assert entry["payload"] == {"members": members, "archived": []}
    assert entry["reason"] == "complete: 3 members"
    assert {row["state"] for row in journal(site.database_url)} == {"queued"}
    assert {row["entry"] for row in journal(site.database_url)} == {entry["id"]}


def test_the_deadline_and_a_late_member(site: Settings, acs: Path) -> None:
    members = ["jaaa01abq", "jaaa01acq"]
    poller = poller_of(site, {"options": {"association_deadline": 3600}})
    deliver(acs, "jaaa01010_asn.fits", table("jaaa01010", members))
    deliver(acs, "jaaa01abq_raw.fits", raw("jaaa01abq", "jaaa01010"))
    rounds(poller)
    execute(site.database_url, "UPDATE owl_association SET deadline = now()")
    assert rounds(poller, 1) == {"associations_expired": 1}
    entry = queue(site.database_url)["jaaa01010", ASSOCIATION]
    assert entry["payload"]["members"] == ["jaaa01abq"]
    assert entry["reason"] == "deadline: 1 member, without jaaa01acq"
    assert len(queue(site.database_url)) == 1
    # It runs, and its member's product comes into the archive.
    execute(site.database_url, _SHOVEL)
    execute(
        site.database_url,
        """
        INSERT INTO owl_product (obs_id, dataset, name, obs_collection, obs_publisher_did,
            dataproduct_type, dataproduct_subtype, calib_level, access_url, access_format,
            access_estsize, bytes, sha256, raw_sha256)
        SELECT member, 'jaaa01010', member || '_flt.fits', 'HST', member, 'image', 'flt', 2, '',
               '', 1, 1, '', sha256 FROM owl_association_member WHERE member = 'jaaa01abq'
        """,
    )
    deliver(acs, "jaaa01acq_raw.fits", raw("jaaa01acq", "jaaa01010"))
    assert rounds(poller) == {"collected": 1, "associations": 1}
    entry = queue(site.database_url)["jaaa01010", ASSOCIATION]
    assert entry["payload"] == {"members": ["jaaa01acq"], "archived": ["jaaa01abq"]}
    # A member with new content is calibrated again, whatever the archive has.
    deliver(acs, "jaaa01abq_raw.fits", raw("jaaa01abq", "jaaa01010", seed=5))
    rounds(poller)
    entry = queue(site.database_url)["jaaa01010", ASSOCIATION]
    assert entry["payload"] == {"members": ["jaaa01abq", "jaaa01acq"], "archived": []}


_SHOVEL = """
WITH gone AS (DELETE FROM owl_queue RETURNING *)
INSERT INTO owl_queue_history (id, fileset, type, instrument, priority, payload, reason, campaign,
    requested_by, inserted_at, outcome, dag_id, run_id)
SELECT id, fileset, type, instrument, priority, payload, reason, campaign, requested_by,
    inserted_at, 'shoveled', type, 'r' || id FROM gone
"""


def test_no_table_and_no_member_by_the_deadline(site: Settings, acs: Path) -> None:
    poller = poller_of(site)
    deliver(acs, "jaaa01abq_raw.fits", raw("jaaa01abq", "jaaa01010"))
    deliver(acs, "jbbb01010_asn.fits", table("jbbb01010", ["jbbb01abq"]))
    rounds(poller)
    execute(site.database_url, "UPDATE owl_association SET deadline = now()")
    rounds(poller, 1)
    found = queue(site.database_url)
    assert found["jaaa01010", ASSOCIATION]["reason"] == "deadline: 1 member, without its table"
    assert "none of its 1 member has come" in found["jbbb01010", "collecting_asn_sci"]["reason"]
    assert ("jbbb01010", ASSOCIATION) not in found


def test_an_exposure_that_the_table_does_not_list_runs_alone(site: Settings, acs: Path) -> None:
    poller = poller_of(site)
    deliver(acs, "jaaa01axq_raw.fits", raw("jaaa01axq", "jaaa01010"))
    rounds(poller)
    deliver(acs, "jaaa01010_asn.fits", table("jaaa01010", ["jaaa01abq"]))
    rounds(poller)
    entry = queue(site.database_url)["jaaa01axq", SINGLE]
    assert entry["reason"] == "the table of jaaa01010 does not list it"
    deliver(acs, "jaaa01abq_raw.fits", raw("jaaa01abq", "jaaa01010"))
    rounds(poller)
    payload = queue(site.database_url)["jaaa01010", ASSOCIATION]["payload"]
    assert payload["members"] == ["jaaa01abq"]
    execute(site.database_url, _SHOVEL)
    deliver(acs, "jaaa01ayq_raw.fits", raw("jaaa01ayq", "jaaa01010"))
    rounds(poller)
    assert set(queue(site.database_url)) == {("jaaa01ayq", SINGLE)}


# Jitter.


def test_exposures_wait_for_their_jitter_file(site: Settings, acs: Path) -> None:
    needs = {"options": {"needs": ["jit"], "jit_deadline": 3600}}
    poller = poller_of(site, needs)
    jitter = poller_of(site, {"name": "JIT", "kind": "jitter", "directory": "jit", "pattern": "*"})
    deliver(acs, "jaaa01abq_raw.fits", raw("jaaa01abq"))
    deliver(acs, "jaaa01acq_raw.fits", raw("jaaa01acq", "jaaa01010"))
    deliver(acs, "jaaa01010_asn.fits", table("jaaa01010", ["jaaa01acq"]))
    deliver(acs, "jaaa01adq_raw.fits", raw("jaaa01adq"))
    assert rounds(poller) == {"awaiting_jitter": 3, "collected": 1}
    found = queue(site.database_url)
    assert {key[1] for key in found} == {"awaiting_sci_jit", "collecting_asn_sci"}
    deliver(acs.parent / "jit", "jaaa01abq_jit.fits", raw("jaaa01abq"))
    deliver(acs.parent / "jit", "jaaa01acq.jit", b"jitter")
    deliver(acs.parent / "jit", "jaaa01aeq_jot.fits", raw("jaaa01aeq"))
    assert rounds(jitter) == {"stored": 2, "quarantined": 1}
    counts = rounds(poller_of(site, needs), 1)
    assert counts == {"jitter_released": 2, "collected": 1, "associations": 1, "queued": 1}
    assert set(queue(site.database_url)) == {
        ("jaaa01abq", SINGLE),
        ("jaaa01010", ASSOCIATION),
        ("jaaa01adq", "awaiting_sci_jit"),
    }
    execute(site.database_url, "UPDATE owl_arrival SET arrived_at = now() - interval '2 hours'")
    assert rounds(poller, 1) == {"jitter_released": 1, "queued": 1}
    assert not [key for key in queue(site.database_url) if key[1] == "awaiting_sci_jit"]


# Checksum lists and delivery notices.


def test_checksum_lists(site: Settings, acs: Path) -> None:
    csum = site.incoming / "csum"
    change = {"name": "CSUM", "kind": "checksum", "directory": "csum", "pattern": "*"}
    poller = poller_of(site, {**change, "options": {"to": "acs", "deadline": 3600}})
    for root in ("jaaa01abq", "jaaa01acq", "jaaa01adq"):
        deliver(csum, f"{root}_raw.fits", raw(root))
    assert rounds(poller) == {}
    names = sorted(p.name for p in csum.iterdir())
    text = sums(csum, ["sha256sum", *names])
    wrong = text.splitlines()[1].replace(text.splitlines()[1][:4], "0000", 1)
    late = f"{'1' * 64}  jaaa01azq_raw.fits"
    deliver(csum, "night.sha256", "\n".join([text.splitlines()[0], wrong, late]).encode())
    assert rounds(poller) == {"verified": 1, "quarantined": 1}
    assert sorted(p.name for p in acs.iterdir()) == ["jaaa01abq_raw.fits"]
    reason = quarantined(site, "CSUM")["jaaa01acq_raw.fits"]
    assert "its sha256 is" in reason
    assert "but night.sha256 says 0000" in reason
    # After a restart the list knows what it has seen.
    poller = poller_of(site, {**change, "options": {"to": "acs", "deadline": 3600}})
    rounds(poller)
    deliver(csum, "jaaa01azq_raw.fits", raw("jaaa01azq"))
    md5 = sums(csum, ["md5sum", "jaaa01adq_raw.fits"])
    deliver(csum, "more.md5", md5.encode())
    deliver(csum, "bad.md5", b"what is this\n")
    assert rounds(poller, 4) == {"verified": 3, "quarantined": 2}
    assert "line 1 is not 'md5 digest  name'" in quarantined(site, "CSUM")["bad.md5"]
    assert sorted(p.name for p in acs.iterdir()) == ["jaaa01abq_raw.fits", "jaaa01adq_raw.fits"]
    assert list(csum.iterdir()) == []
    assert (site.incoming / "night.sha256").exists()
    # What nobody names, and who never comes.
    deliver(csum, "jaaa01aeq_raw.fits", raw("jaaa01aeq"))
    deliver(csum, "lone.sha256", f"{'2' * 64}  jnever_raw.fits".encode())
    hasty = poller_of(site, {**change, "options": {"to": "acs", "deadline": 0}})
    assert rounds(hasty, 3) == {"quarantined": 2}
    reasons = quarantined(site, "CSUM")
    assert reasons["jaaa01aeq_raw.fits"] == "no list of checksums names it"
    assert "1 file that it names did not come: jnever_raw.fits" in reasons["lone.sha256"]
    # What is verified is then taken by the instrument's poller.
    assert rounds(poller_of(site)) == {"queued": 2}


def test_delivery_notices(site: Settings, acs: Path) -> None:
    dan = site.incoming / "dan"
    change = {
        "name": "DAN",
        "kind": "delivery",
        "directory": "dan",
        "pattern": "*.dan.json",
        "instrument": None,
        "workflow": "dan_receipt",
    }
    content = as_bytes(raw("jaaa01abq"), acs.parent)
    file = {"name": "jaaa01abq_raw.fits", "bytes": len(content), "sha256": "0" * 64}
    deliver(dan, "Night7.dan.json", json.dumps({"delivery": "night7", "files": [file]}).encode())
    deliver(dan, "night8.dan.json", b'{"delivery": "night9", "files": []}')
    deliver(dan, "night9.dan.json", b'{"delivery": "night9", "files": [{"name": "../x"}]}')
    poller = poller_of(site, change)
    assert rounds(poller) == {"notices": 1, "quarantined": 2}
    assert "files[0].name '../x'" in quarantined(site, "DAN")["night9.dan.json"]
    (waiting,) = rows(site.database_url, "SELECT * FROM owl_arrival WHERE state = 'collected'")
    assert waiting["reason"] == "waits for 1 file: jaaa01abq_raw.fits"
    deliver(acs, "jaaa01abq_raw.fits", content)
    rounds(poller_of(site))
    assert rounds(poller, 1) == {"queued": 1}
    assert ("night7", "dan_receipt") in queue(site.database_url)
    deliver(
        dan,
        "n10.dan.json",
        json.dumps({"delivery": "n10", "files": [file | {"name": "y"}]}).encode(),
    )
    rounds(poller)
    execute(site.database_url, "UPDATE owl_arrival SET arrived_at = now() - interval '1 hour'")
    assert rounds(poller, 1) == {"queued": 1}
    assert queue(site.database_url)["n10", "dan_receipt"]["reason"] == "deadline: without 1 file"


# Everything together, with crashes.


class Crash(BaseException):
    """The process is gone."""


@pytest.mark.parametrize("seed", range(6))
def test_nothing_is_lost_and_nothing_comes_twice(site: Settings, acs: Path, seed: int) -> None:
    chance = random.Random(seed)
    singles = [f"jsin{n:02}abq" for n in range(12)]
    pairs = {f"jas{n}01010": [f"jas{n}01a{c}q" for c in "bcde"] for n in range(2)}
    files = {f"{root}_raw.fits": as_bytes(raw(root), acs.parent) for root in singles}
    for name, members in pairs.items():
        files[f"{name}_asn.fits"] = as_bytes(table(name, members), acs.parent)
        files |= {f"{m}_raw.fits": as_bytes(raw(m, name), acs.parent) for m in members}
    bad = {
        "jbad01abq_raw.fits": b"",
        "jbad02abq_raw.fits": files["jsin00abq_raw.fits"],
        "jbad03abq_raw.fits": files["jsin00abq_raw.fits"][:-100],
        "readme.txt": b"x",
    }
    last = "jas001acq_raw.fits"
    deliveries = [*(files | bad).items(), *chance.sample(sorted(files.items()), 6)]
    chance.shuffle(deliveries)
    # One missing member comes last.
    deliveries = [item for item in deliveries if item[0] != last] + [(last, files[last])]

    points = count(1)

    def point(where: str) -> None:
        # The order of files with the same time, so what else happens, is not the seed's alone.
        if chance.random() < 0.05 or next(points) == 20:
            raise Crash(where)

    crashes = 0
    poller = poller_of(site, point=point)
    for name, content in [*deliveries, ("", b"")]:
        if name:
            deliver(acs, name, content)
        for _ in range(chance.randrange(3) if name else 12):
            try:
                poller.round()
            except Crash:
                crashes += 1
                poller.close()
                poller = poller_of(site, point=point)
    assert crashes > 0
    assert list(acs.iterdir()) == []
    found = queue(site.database_url)
    assert set(found) == {(root, SINGLE) for root in singles} | {
        (name, ASSOCIATION) for name in pairs
    }
    for name, members in pairs.items():
        assert found[name, ASSOCIATION]["payload"]["members"] == members
    assert {p.name for p in site.incoming.iterdir() if p.is_file()} == set(files)
    for name, content in files.items():
        assert (site.incoming / name).read_bytes() == content
    assert set(quarantined(site)) == set(bad)
    states = Counter(row["state"] for row in journal(site.database_url))
    assert states["queued"] == len(files)
    assert states["quarantined"] == len(bad)
    assert set(states) <= {"queued", "quarantined", "duplicate"}
    history = rows(
        site.database_url, "SELECT type, outcome, count(*) FROM owl_queue_history GROUP BY 1, 2"
    )
    assert {(row["type"], row["outcome"]) for row in history} <= {
        ("collecting_asn_sci", "resolved")
    }
