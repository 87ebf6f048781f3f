"""Engineering streams in parts, the jitter file that our own pipeline makes, and its release."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from calibration_site import Site, make_site

from calibration.arrays import jitter
from calibration.exit_codes import ExitCode
from calibration.telemetry.packets import PRIMARY, SECONDARY
from htcondor_operator.blackboard.catalogue_rows import upsert_products
from htcondor_operator.blackboard.connection import connect_url
from htcondor_operator.mirror.manifest import read_rows
from htcondor_operator.queue.pollers.arrivals import FolderPoller
from htcondor_operator.queue.pollers.engineering_poller import covered
from htcondor_operator.queue.pollers.telemetry_file import Engineering, Telemetry
from htcondor_operator.settings import Settings
from tests.integration.deliveries_support import (
    deliver,
    execute,
    journal,
    poller_of,
    queue,
    rounds,
    settings_at,
)

ROOT = "jsimh1a1q"
SCIENCE = "sdp_prearch_acs"
MADE = "eng_jitter"
HEAD = PRIMARY.size + SECONDARY.size


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """An exposure of 60 s as packets, and its engineering stream in three parts."""
    site = make_site(tmp_path_factory.mktemp("sent"))
    words = ("--detector", "ACS/HRC", "--small", "--seconds", "59.4", "--telemetry")
    site.simulate(*words, "--engineering", "3")
    return {path.name: path.read_bytes() for path in (site.root / "incoming").iterdir()}


def part(parts: dict[str, bytes], number: int) -> bytes:
    return parts[f"{ROOT}_{number}.eng"]


def damaged(content: bytes, second: int) -> bytes:
    """Flip a bit in one of a part's engineering packets."""
    packets = content.split(b"\x0b\x2f")  # version 0, type 0, secondary header, APID + 15
    assert b"\x0b\x2f".join(packets) == content
    victim = bytearray(packets[second + 1])
    victim[HEAD] ^= 1
    packets[second + 1] = bytes(victim)
    return b"\x0b\x2f".join(packets)


# The payload's node.


def made(site: Site) -> Any:
    return fits.open(site.root / "work" / ROOT / f"{ROOT}_jit.fits")


def test_the_jitter_file_is_laid_out_as_hubbles(tmp_path: Path, parts: dict[str, bytes]) -> None:
    site = make_site(tmp_path)
    for name, content in parts.items():
        (site.root / "incoming" / name).write_bytes(content)
    assert "60 of 60 s from 3 parts, 20 rows" in site.must("JIT", ROOT)
    with made(site) as file:
        file.verify("exception")
        primary, table = file[0].header, file[1]
        assert (primary["ROOTNAME"], primary["ENGSIM"], primary["EXPTIME"]) == (ROOT, True, 59.4)
        names = table.columns.names
        assert len(names) == 28
        assert [n.upper() for n in names[5:14]] == [
            "SI_V2_AVG", "SI_V2_RMS", "SI_V2_P2P", "SI_V3_AVG", "SI_V3_RMS", "SI_V3_P2P",
            "RA", "DEC", "ROLL",
        ]  # fmt: skip
        np.testing.assert_allclose(table.data["Seconds"], np.arange(20) * 3 + 1.5)
        stream = sent_samples(parts)
        v2 = stream[:, 1].reshape(20, 3)
        np.testing.assert_allclose(table.data["SI_V2_AVG"], v2.mean(1) / 1000, rtol=1e-5)
        np.testing.assert_allclose(table.data["SI_V2_RMS"], v2.std(1) / 1000, rtol=1e-5)
        np.testing.assert_allclose(table.data["SI_V2_P2P"], np.ptp(v2, axis=1) / 1000, rtol=1e-5)
        assert table.header["V3_RMS"] == pytest.approx(stream[:, 2].std())
        assert table.header["V2_P2P"] == pytest.approx(np.ptp(stream[:, 1]))
        assert (table.header["ENGSECS"], table.header["ENGMISS"]) == (60, 0)
        assert np.isnan(table.data["LimbAng"]).all()
        assert abs(table.header["RA_AVG"] - primary["RA_TARG"]) < 1e-5
        # Pointing and offsets are the same length on the sky.
        east = (table.data["RA"] - primary["RA_TARG"]) * np.cos(np.radians(primary["DEC_TARG"]))
        north = table.data["DEC"] - primary["DEC_TARG"]
        length = np.hypot(table.data["SI_V2_AVG"], table.data["SI_V3_AVG"])
        np.testing.assert_allclose(np.hypot(east, north) * 3600, length, rtol=1e-4)
    # Archived beside the exposure's products, and the same when it is made again.
    site.must("INGEST_ENG", ROOT)
    manifest = site.manifest(ROOT)
    assert manifest["files"][f"{ROOT}_jit.fits"]["dataproduct_subtype"] == "jit"
    site.must("JIT", ROOT)
    assert "in the archive already" in site.must("INGEST_ENG", ROOT)
    assert site.manifest(ROOT) == manifest
    site.must("CL", ROOT)
    assert not (site.root / "work").exists() or not list((site.root / "work").iterdir())


def sent_samples(parts: dict[str, bytes]) -> Any:
    """Return what the packets say, read without our reader: 60 samples of four numbers."""
    rows = []
    for number in (1, 2, 3):
        content, offset = part(parts, number), 0
        while offset < len(content):
            word, _, length = PRIMARY.unpack_from(content, offset)
            end = offset + PRIMARY.size + length + 1
            if word & 0x7FF == 0x32F:
                rows.append(np.frombuffer(content[offset + HEAD : end - 2], ">f4"))
            offset = end
    return np.array(rows, np.float64)[:60]


def test_gaps_are_counted_and_not_filled(tmp_path: Path, parts: dict[str, bytes]) -> None:
    site = make_site(tmp_path)
    incoming = site.root / "incoming"
    first = part(parts, 1)
    (incoming / f"{ROOT}_1.eng").write_bytes(damaged(damaged(first, 0), 4))
    (incoming / f"{ROOT}_3.eng").write_bytes(part(parts, 3))
    site.must("JIT", ROOT)
    with made(site) as file:
        # 20 + 20 seconds came; two of them damaged.
        assert (file[1].header["ENGSECS"], file[1].header["ENGMISS"]) == (38, 22)
        assert len(file[1].data) == 7 + 7
        assert file[1].data["Seconds"][7] == 40.5
    site.fails("JIT", "jother01q", ExitCode.INPUT_MISSING, "jother01q.eng")
    (incoming / "jother01q.eng").write_bytes(first)
    site.fails("JIT", "jother01q", ExitCode.TELEMETRY_BAD, ROOT)
    (incoming / f"{ROOT}_3.eng").write_bytes(part(parts, 3)[:-5])
    site.fails("JIT", ROOT, ExitCode.TELEMETRY_TRUNCATED)


def test_means_and_pointing() -> None:
    samples = np.array([[0, 1.0, 0], [1, 3.0, 0], [2, 5.0, 3.0], [7, 2.0, 1.0]])
    found = jitter.averaged(samples, 3)
    np.testing.assert_allclose(found["seconds"], [1.5, 7.5])
    np.testing.assert_allclose(found["v2_avg"], [3.0, 2.0])
    np.testing.assert_allclose(found["v2_rms"], [math.sqrt(8 / 3), 0.0])
    np.testing.assert_allclose(found["v3_p2p"], [3.0, 0.0])
    assert [jitter.interval(s) for s in (5.9, 6.0)] == [1, 3]
    # V3 along north at PA 0, V2 then along east; at PA 90 V3 is east and V2 south.
    assert jitter.pointing(0.0, 3600.0, ra=10, dec=0, pa_v3=0) == pytest.approx((10, 1))
    assert jitter.pointing(3600.0, 0.0, ra=10, dec=0, pa_v3=0) == pytest.approx((11, 0))
    assert jitter.pointing(0.0, 3600.0, ra=10, dec=0, pa_v3=90) == pytest.approx((11, 0))
    assert jitter.pointing(3600.0, 0.0, ra=10, dec=0, pa_v3=90) == pytest.approx((10, -1))


# The pollers.


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        ([{0, 1, 2}], (3, 3, [])),
        ([{0}, {2}], (2, 3, [(1, 1)])),
        ([set()], (0, 3, [(0, 2)])),
        ([], (0, 0, [])),
    ],
)
def test_covered(seconds: list[set[int]], expected: object) -> None:
    who = Telemetry("a", "ACS", "")
    assert covered(Engineering(who, 3, frozenset(s)) for s in seconds) == expected


@pytest.fixture
def site(database: str, tmp_path: Path) -> Settings:
    return settings_at(tmp_path, database)


ENG = {
    "name": "ENG", "kind": "engineering", "directory": "eng", "pattern": "*.eng",
    "workflow": MADE,
}  # fmt: skip
NEEDS = {"options": {"needs": ["jit"], "jit_deadline": 3600}}


def eng(site: Settings, point: Callable[[str], None] | None = None) -> FolderPoller:
    return poller_of(site, ENG, point)


def waiting(site: Settings) -> dict[tuple[str, str], str]:
    return {key: row["reason"] for key, row in queue(site.database_url).items()}


def archive(site: Settings, parts: dict[str, bytes]) -> None:
    """Do what the queued workflow does: its nodes, and the mirror's catalogue."""
    folder = Site(site.incoming.parent)
    for name in ("work", "archive", "references"):
        (folder.root / name).mkdir(exist_ok=True)
    for node in ("JIT", "INGEST_ENG", "CL"):
        folder.must(node, ROOT)
    with connect_url(site.database_url, application="test") as connection:
        with connection.cursor() as cur:
            upsert_products(cur, read_rows(folder.root / "archive" / ROOT))
        connection.commit()


@pytest.mark.database
def test_science_waits_until_the_made_jitter_file_is_in_the_archive(
    site: Settings, parts: dict[str, bytes]
) -> None:
    science, stream = poller_of(site, NEEDS), eng(site)
    deliver(site.incoming / "acs", f"{ROOT}.tlm", parts[f"{ROOT}.tlm"])
    assert rounds(science) == {"awaiting_jitter": 1}
    assert list(waiting(site)) == [(ROOT, "awaiting_sci_jit")]
    # A part comes: the file will be made here, and is not covered yet.
    deliver(site.incoming / "eng", f"{ROOT}_2.eng", part(parts, 2))
    assert rounds(stream) == {"collected": 1}
    assert rounds(science) == {}
    found = waiting(site)
    assert set(found) == {(ROOT, "awaiting_gsa_jit"), (ROOT, "collecting_eng")}
    assert found[ROOT, "collecting_eng"] == "20 of 60 s, without 0 to 19, 40 to 59"
    deliver(site.incoming / "eng", f"{ROOT}_1.eng", part(parts, 1))
    # Another process goes on: everything is in the database and in files.
    assert rounds(eng(site)) == {"collected": 1}
    assert waiting(site)[ROOT, "collecting_eng"] == "40 of 60 s, without 40 to 59"
    deliver(site.incoming / "eng", f"{ROOT}_3.eng", part(parts, 3))
    stream = eng(site)
    assert rounds(stream) == {"collected": 1, "queued": 1}
    found = waiting(site)
    assert set(found) == {(ROOT, "awaiting_gsa_jit"), (ROOT, MADE)}
    assert found[ROOT, MADE] == "covered: 60 s"
    states = {row["name"]: row["state"] for row in journal(site.database_url)}
    assert states == {f"{ROOT}.tlm": "collected"} | {f"{ROOT}_{n}.eng": "queued" for n in (1, 2, 3)}
    assert rounds(poller_of(site, NEEDS)) == {}  # queued is not archived
    archive(site, parts)
    assert rounds(poller_of(site, NEEDS), 1) == {"jitter_released": 1, "queued": 1}
    assert set(queue(site.database_url)) == {(ROOT, MADE), (ROOT, SCIENCE)}
    assert rounds(poller_of(site, NEEDS)) == {}
    # The exposure with new content finds the file in the archive, and goes on at once.
    again = parts[f"{ROOT}.tlm"] + part(parts, 1)
    deliver(site.incoming / "acs", f"{ROOT}.tlm", again)
    assert rounds(poller_of(site, NEEDS)) == {"merged": 1}
    # A part that comes again is a duplicate; one with new content makes the file again.
    deliver(site.incoming / "eng", f"{ROOT}_3.eng", part(parts, 3))
    assert rounds(stream) == {"duplicate": 1}
    deliver(site.incoming / "eng", f"{ROOT}_3.eng", part(parts, 3) + part(parts, 2))
    assert rounds(stream) == {"collected": 1, "queued": 1}


@pytest.mark.database
def test_engineering_first_and_the_deadlines(site: Settings, parts: dict[str, bytes]) -> None:
    stream, science = eng(site), poller_of(site, NEEDS)
    deliver(site.incoming / "eng", f"{ROOT}_1.eng", damaged(part(parts, 1), 3))
    deliver(site.incoming / "eng", f"{ROOT}_2.eng", part(parts, 2)[:-3])
    deliver(site.incoming / "eng", "jother01q.eng", part(parts, 2))
    assert rounds(stream) == {"collected": 1, "quarantined": 2}
    assert waiting(site)[ROOT, "collecting_eng"] == "19 of 60 s, without 3, 20 to 59"
    deliver(site.incoming / "acs", f"{ROOT}.tlm", parts[f"{ROOT}.tlm"])
    assert rounds(science) == {"awaiting_jitter": 1}
    assert (ROOT, "awaiting_gsa_jit") in queue(site.database_url)
    execute(site.database_url, "UPDATE owl_arrival SET arrived_at = now() - interval '2 days'")
    assert rounds(stream, 1) == {"queued": 1}
    assert waiting(site)[ROOT, MADE] == "deadline: 19 of 60 s"
    assert rounds(science, 1) == {"jitter_released": 1, "queued": 1}
    assert set(queue(site.database_url)) == {(ROOT, MADE), (ROOT, SCIENCE)}


@pytest.mark.database
@pytest.mark.parametrize("point", ["journalled", "moved", "routed", "committed"])
def test_killed_at_any_point_it_is_queued_once(
    site: Settings, parts: dict[str, bytes], point: str
) -> None:
    class Killed(Exception):
        pass

    count = itertools.count()

    def kill(here: str) -> None:
        if here == point and next(count) == 0:
            raise Killed

    for number in (1, 2, 3):
        deliver(site.incoming / "eng", f"{ROOT}_{number}.eng", part(parts, number))
    poller = eng(site, kill)
    with pytest.raises(Killed):
        rounds(poller)
    poller.close()
    rounds(eng(site), 3)
    assert {key: row["state"] for key, row in queue(site.database_url).items()} == {
        (ROOT, MADE): "waiting"
    }
    found = journal(site.database_url)
    assert sorted(row["name"] for row in found) == [f"{ROOT}_{n}.eng" for n in (1, 2, 3)]
    assert {row["state"] for row in found} == {"queued"}
    (entry,) = queue(site.database_url).values()
    assert {row["entry"] for row in found} == {entry["id"]}
