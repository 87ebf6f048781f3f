"""Members from the archive: fetched to be calibrated again, or reused as they are."""

from __future__ import annotations

import gzip
import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from calibration_site import MEMBER_NODES, Site, make_site

from calibration.exit_codes import ExitCode

ASN = "jsim01010"
COMBINE = ("CRCOMB", "MD", "AC", "INGEST_SCI", "PVW", "CL")
OPTIONS = ("--association", ASN)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return make_site(tmp_path)


def members(site: Site) -> list[str]:
    name, *found = site.simulate(
        "--detector", "ACS/HRC", "--small", "--members", "4", "--dataset", ASN
    )
    assert name == ASN
    return found


def combine(site: Site, names: list[str]) -> None:
    for node in COMBINE:
        site.must(node, ASN, "--members", ",".join(sorted(names)))


def images(site: Site) -> dict[str, list[np.ndarray]]:
    out = {}
    for path in sorted((site.root / "archive" / ASN).glob("*_[cdf]*.fits")):
        with fits.open(path) as hdus:
            out[path.name] = [h.data.copy() for h in hdus if h.name in ("SCI", "ERR", "DQ", "WHT")]
    return out


def same(first: dict[str, list[np.ndarray]], second: dict[str, list[np.ndarray]]) -> None:
    assert set(first) == set(second)
    for name, arrays in first.items():
        for one, other in zip(arrays, second[name], strict=True):
            np.testing.assert_array_equal(one, other, err_msg=name)


def test_one_of_four_reused_equals_all_calibrated(site: Site) -> None:
    names = members(site)
    # The first three came before the deadline, the fourth later: with it the association is
    # combined again, of one new and three reused members.
    for name in names[:3]:
        for node in MEMBER_NODES:
            site.must(node, name)
    combine(site, names[:3])
    partial = images(site)
    for name in names[:3]:
        assert f"REUSE {name}_flt.fits, {name}_blv_tmp.fits" in site.must("REUSE", name, *OPTIONS)
    for node in MEMBER_NODES:
        site.must(node, names[3])
    combine(site, names)
    mixed = images(site)
    assert not np.array_equal(mixed[f"{ASN}_crj.fits"][0], partial[f"{ASN}_crj.fits"][0])
    reused = {n: site.archived(ASN, n).read_bytes() for n in mixed}

    shutil.rmtree(site.root / "archive")
    for name in names:
        for node in MEMBER_NODES:
            site.must(node, name)
    combine(site, names)
    same(mixed, images(site))
    afresh = {n: site.archived(ASN, n).read_bytes() for n in mixed}
    assert reused == afresh


def test_reused_from_the_shelves_of_singles(site: Site) -> None:
    names = members(site)
    for name in names:
        for node in (*MEMBER_NODES, "MD", "AC", "INGEST_SCI", "CL"):
            site.must(node, name)
    for name in names:
        site.must("REUSE", name, *OPTIONS)
    combine(site, names)
    first = images(site)
    shutil.rmtree(site.root / "archive" / ASN)
    for name in names:  # as acs_asn_repro does
        site.must("FETCH", name, *OPTIONS)
        for node in MEMBER_NODES[1:]:
            site.must(node, name)
    combine(site, names)
    same(first, images(site))


def test_a_reused_product_that_is_out_of_date_is_made_afresh(site: Site) -> None:
    name, *_ = members(site)
    for node in (*MEMBER_NODES, "MD", "AC", "INGEST_SCI", "CL"):
        site.must(node, name)
    before = fits.getdata(site.archived(name, f"{name}_flt.fits"), "SCI")
    assert "calibrated again" not in site.must("REUSE", name, *OPTIONS)
    old = next((site.root / "references").glob("*_drk.fits"))
    new = old.with_name("newer_drk.fits")
    with fits.open(old) as hdus:
        hdus[0].header["USEAFTER"] = "Jan 01 1995 00:00:00"
        hdus["SCI"].data *= 2
        hdus.writeto(new)
    words = f"is calibrated again: DARKFILE was {old.name}, the best one is now {new.name}"
    assert words in site.must("REUSE", name, *OPTIONS)
    after = fits.getdata(site.root / "work" / name / f"{name}_flt.fits", "SCI")
    assert not np.array_equal(before, after)


def test_what_is_not_in_the_archive_or_damaged_is_named(site: Site) -> None:
    name, *_ = members(site)
    site.fails("REUSE", name, ExitCode.NOT_ARCHIVED, "product", options=OPTIONS)
    site.fails("FETCH", name, ExitCode.NOT_ARCHIVED, "raw file", options=OPTIONS)
    for node in (*MEMBER_NODES, "MD", "AC", "INGEST_SCI", "CL"):
        site.must(node, name)
    raw = site.root / "incoming" / f"{name}_raw.fits"
    delivered = raw.read_bytes()
    with fits.open(raw, mode="update") as hdus:
        hdus[1].data[5, 5] += 1
    site.fails("REUSE", name, ExitCode.NOT_ARCHIVED, "sha256", options=OPTIONS)
    raw.write_bytes(delivered)
    product = site.archived(name, f"{name}_flt.fits")
    content = bytearray(product.read_bytes())
    content[-5000] ^= 1
    product.write_bytes(content)
    site.fails("REUSE", name, ExitCode.ARCHIVE_NOT_VERIFIED, product.name, options=OPTIONS)
    archived = site.archived(name, raw.name)
    archived.unlink()
    site.fails("FETCH", name, ExitCode.ARCHIVE_NOT_VERIFIED, "missing", options=OPTIONS)


def test_a_raw_file_has_one_digest_however_it_is_delivered(site: Site) -> None:
    name, *_ = members(site)
    raw = site.root / "incoming" / f"{name}_raw.fits"
    note = site.root / "work" / name / f"{name}_delivered.json"

    def staged() -> dict[str, str]:
        site.must("2FITS", name)
        return dict(json.loads(note.read_text()))

    plain = staged()
    assert plain == {"file": raw.name, "sha256": hashlib.sha256(raw.read_bytes()).hexdigest()}
    packed = raw.with_name(f"{raw.name}.gz")
    packed.write_bytes(gzip.compress(raw.read_bytes()))
    site.run("simulate", "--telemetry-from", str(raw), "--incoming", "incoming")
    raw.unlink()
    telemetry = staged()
    assert telemetry == {"file": f"{name}.tlm", "sha256": plain["sha256"]}
    (site.root / "incoming" / f"{name}.tlm").unlink()
    assert staged() == {"file": packed.name, "sha256": plain["sha256"]}
    for node in (*MEMBER_NODES[1:], "MD", "AC", "INGEST_SCI", "CL"):
        site.must(node, name)
    assert f"{name}_flt.fits" in site.must("REUSE", name, *OPTIONS)


@pytest.mark.parametrize(
    ("detector", "common"),
    [
        ("WFC3/UVIS", ("CRCOMB", "MD", "AC", "INGEST_SCI", "PVW", "CL")),
        ("STIS/CCD", ("AC", "INGEST_SCI", "PVW", "CL")),
    ],
)
def test_associations_of_other_instruments(
    site: Site, detector: str, common: tuple[str, ...]
) -> None:
    name, *found = site.simulate("--detector", detector, "--small", "--members", "2")
    for member in found:
        for node in MEMBER_NODES:
            site.must(node, member)
    for node in common:
        site.must(node, name, "--members", ",".join(found))
    files = site.manifest(name)["files"]
    assert {f"{m}_flt.fits" for m in found} <= set(files)
    assert (f"{name}_drz.fits" in files) is ("MD" in common)
    assert (f"{name}_crj.fits" in files) is ("CRCOMB" in common)
    assert f"{name}_preview.png" in files
    table = fits.getdata(site.archived(name, f"{name}_asn.fits"), 1)
    made = table["MEMPRSNT"][table["MEMTYPE"] == "PROD-CR1"]
    assert list(made) == ["MD" in common]
