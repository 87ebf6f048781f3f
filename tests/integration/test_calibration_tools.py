"""The payload's tools that other programs call: header, affected, previews, receipts."""

from __future__ import annotations

import hashlib
import json
import random
from pathlib import Path
from typing import Any

import pytest
from calibration_site import Site, make_site

from calibration.exit_codes import ExitCode

SINGLE = ("2FITS", "RF", "BC", "CA", "MD", "AC", "INGEST_SCI")


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return make_site(tmp_path)


def headers(site: Site, *files: str) -> list[dict[str, Any]]:
    done = site.run("header", "--json", *files)
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_header_of_raw_files_telemetry_and_tables(site: Site) -> None:
    asn, first, _ = site.simulate("--detector", "ACS/HRC", "--small", "--members", "2")
    raw, table = f"incoming/{first}_raw.fits", f"incoming/{asn}_asn.fits"
    fits, members = headers(site, raw, table)
    assert (fits["rootname"], fits["instrument"], fits["detector"]) == (first, "ACS", "HRC")
    assert fits["association"] == asn
    assert fits["members"] is None
    assert fits["header"]["EXPTIME"] == 300.0
    assert fits["observation"]["filters"] == "F606W"
    assert members["association"] is None  # an association does not belong to itself
    row = members["members"][0]
    assert (row["MEMNAME"].lower(), row["MEMTYPE"]) == (first, "EXP-CR1")
    site.run("simulate", "--telemetry-from", raw, "--incoming", "incoming")
    (packets,) = headers(site, f"incoming/{first}.tlm")
    same = ("rootname", "association", "observation", "header", "hdus", "filetype")
    assert {k: packets[k] for k in same} == {k: fits[k] for k in same}


def test_header_names_what_is_wrong_with_a_file_and_goes_on(site: Site) -> None:
    name = site.simulate("--detector", "ACS/HRC", "--small")[0]
    raw = site.root / "incoming" / f"{name}_raw.fits"
    (site.root / "cut_raw.fits").write_bytes(raw.read_bytes()[:20_000])
    (site.root / "text_raw.fits").write_text("no")
    (site.root / "empty.tlm").write_bytes(b"")
    bad = ("cut_raw.fits", "text_raw.fits", "empty.tlm", "absent.fits")
    done = site.run("header", *bad, str(raw))
    found = [json.loads(line) for line in done.stdout.splitlines()]
    errors = [line.get("error") for line in found]
    assert errors == [
        "input_corrupt",
        "input_corrupt",
        "telemetry_truncated",
        "input_missing",
        None,
    ]
    assert "truncated" in found[0]["message"]
    assert done.returncode == ExitCode.INPUT_CORRUPT


def keys(**changed: str) -> dict[str, str]:
    return {
        "INSTRUME": "ACS", "DETECTOR": "HRC", "CCDAMP": "A", "CCDGAIN": "4.0", "APERTURE": "HRC",
        "NUMCOLS": "1062", "NUMROWS": "1044", "LTV1": "19.0", "LTV2": "20.0", "XCORNER": "N/A",
        "YCORNER": "N/A", "CCDCHIP": "N/A", "DATE-OBS": "1992-02-01", "TIME-OBS": "00:00:00",
        "BIASCORR": "PERFORM", **changed,
    }  # fmt: skip


def test_affected_names_old_and_new_of_ten_thousand(site: Site, shared_data: Path) -> None:
    mappings = shared_data / "hst" / "crds_mappings"
    # Two contexts that differ in the bias of one date.
    folder = site.root / "references" / "mappings"
    folder.mkdir()
    for name in ("hst_0001.pmap", "hst_acs_0001.imap"):
        (folder / name).write_text((mappings / name).read_text())
    bias = (mappings / "hst_acs_biasfile_0001.rmap").read_text()
    (folder / "hst_acs_biasfile_0001.rmap").write_text(bias)
    (folder / "hst_0002.pmap").write_text(
        (mappings / "hst_0001.pmap").read_text().replace("hst_acs_0001", "hst_acs_0002")
    )
    (folder / "hst_acs_0002.imap").write_text(
        (mappings / "hst_acs_0001.imap").read_text().replace("biasfile_0001", "biasfile_0002")
    )
    (folder / "hst_acs_biasfile_0002.rmap").write_text(
        bias.replace("q9e12071j_bia.fits", "brandnew_bia.fits")
    )
    for name in ("hst_0002.pmap", "hst_acs_0002.imap", "hst_acs_biasfile_0002.rmap"):
        sign(folder / name)
    lines = [line(k, f"{2003 + k % 8}-0{1 + k % 9}-1{k % 10}") for k in range(10_000)]
    lines.append({"dataset": "omitted", "instrument": "ACS", "reference_keys": {
        **lines[3]["reference_keys"], "BIASCORR": "OMIT"}})  # fmt: skip
    lines.append({"dataset": "other", "instrument": "COS", "reference_keys": {"INSTRUME": "COS"}})
    random.Random(1).shuffle(lines)
    done = site.run(
        "affected", "--old", "hst_0001.pmap", "--new", "hst_0002.pmap",
        "--references", "references", given="".join(json.dumps(x) + "\n" for x in lines),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = {x["dataset"]: x for x in map(json.loads, done.stdout.splitlines())}
    assert 0 < len(found) < 10_000
    for entry in found.values():
        assert entry["changes"] == {"BIASFILE": ["q9e12071j_bia.fits", "brandnew_bia.fits"]}
    assert not {"omitted", "other"} & set(found)
    same = site.run(
        "affected", "--old", "hst_0001.pmap", "--new", "hst_0001.pmap",
        "--references", "references", given=json.dumps(lines[0]),
    )  # fmt: skip
    assert (same.returncode, same.stdout) == (0, "")


def sign(mapping: Path) -> None:
    """Give a changed mapping the checksum that the library insists on."""
    from crds.refactoring.checksum import update_checksum

    update_checksum(str(mapping))


def line(number: int, date: str) -> dict[str, Any]:
    return {
        "dataset": f"j{number:08d}",
        "instrument": "ACS",
        "reference_keys": keys(**{"DATE-OBS": date}),
    }


@pytest.mark.parametrize(
    ("context", "given", "code", "says"),
    [
        ("hst_9999.pmap", "", ExitCode.MAPPING_BAD, "hst_9999.pmap"),
        ("../hst.pmap", "", ExitCode.MAPPING_BAD, "../hst.pmap"),
        ("hst_0001.pmap", "{}", ExitCode.USAGE_ERROR, "line 1"),
    ],
)
def test_affected_says_what_it_cannot_read(
    site: Site, shared_data: Path, context: str, given: str, code: ExitCode, says: str
) -> None:
    mappings = str(shared_data / "hst" / "crds_mappings")
    done = site.run(
        "affected", "--old", context, "--new", "hst_0001.pmap", "--references", mappings,
        given=given,
    )  # fmt: skip
    assert done.returncode == code
    assert says in done.stderr


def test_previews_stay_when_current_and_are_replaced_on_request(site: Site) -> None:
    name = site.simulate("--detector", "ACS/HRC", "--small")[0]
    for node in SINGLE:
        site.must(node, name)
    preview, thumb = (site.archived(name, f"{name}{e}") for e in ("_preview.png", "_thumb.jpg"))
    assert "_thumb.jpg" in site.must("PVW", name)
    made = preview.stat().st_ino
    assert "are current" in site.must("PVW", name)
    assert preview.stat().st_ino == made
    assert "are current" not in site.must("PVW", name, "--replace")
    assert preview.stat().st_ino != made
    thumb.write_bytes(b"damaged")
    assert "are current" not in site.must("PVW", name)
    assert site.manifest(name)["files"][thumb.name]["calib_level"] == 2
    product = site.archived(name, f"{name}_drz.fits")
    product.write_bytes(product.read_bytes() + b"\0")
    site.fails("PVW", name, ExitCode.ARCHIVE_NOT_VERIFIED, product.name)


def notice(site: Site, *files: dict[str, Any], name: str = "NIGHT7") -> Path:
    path = site.root / "incoming" / f"{name}.dan.json"
    path.write_text(json.dumps({"delivery": name, "files": list(files)}))
    return path


def delivered(site: Site, name: str, content: bytes) -> dict[str, Any]:
    (site.root / "incoming" / name).write_bytes(content)
    return {
        "name": name,
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
    }


def receipt(site: Site) -> dict[str, Any]:
    return dict(json.loads(site.archived("night7", "night7_receipt.json").read_text()))


def test_receipt_of_good_damaged_and_incomplete_deliveries(site: Site) -> None:
    good, other = delivered(site, "a.fits", b"aaa"), delivered(site, "b.tlm", b"bbb")
    notice(site, good, other)
    assert "all 2 files" in site.must("DAN", "NIGHT7")
    assert receipt(site)["counts"] == {"ok": 2}
    assert {"night7_receipt.json", "NIGHT7.dan.json"} <= set(site.manifest("night7")["files"])
    assert not (site.root / "work" / "night7").exists()

    notice(site, good, {**other, "sha256": "0" * 64}, {**good, "name": "c.fits"})
    site.fails("DAN", "night7", ExitCode.DELIVERY_INCOMPLETE, "c.fits", "1 of 3")
    notice(site, {**good, "bytes": 4}, {**other, "sha256": "0" * 64})
    site.fails("DAN", "night7", ExitCode.DELIVERY_DAMAGED, "a.fits (bytes), b.tlm (sha256)")
    assert receipt(site)["counts"] == {"bytes": 1, "sha256": 1}
    notice(site, good, other)
    site.must("DAN", "night7")
    assert receipt(site)["counts"] == {"ok": 2}


@pytest.mark.parametrize(
    "content",
    [
        "{",
        "[]",
        '{"delivery": "other", "files": []}',
        '{"delivery": "night7", "files": []}',
        '{"delivery": "night7", "files": [{"name": "../x", "bytes": 1, "sha256": "00"}]}',
        '{"delivery": "night7", "files": [{"name": "x", "bytes": -1, "sha256": "00"}]}',
        '{"delivery": "night7", "files": [{"name": "x", "bytes": 1, "sha256": "00"}]}',
    ],
)
def test_a_notice_that_is_none_is_refused(site: Site, content: str) -> None:
    (site.root / "incoming" / "night7.dan.json").write_text(content)
    site.fails("DAN", "night7", ExitCode.NOTICE_BAD, "night7.dan.json")
    assert not (site.root / "archive" / "night7").exists()
