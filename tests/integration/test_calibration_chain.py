"""All nodes as the processes that HTCondor would start, on simulated and on real frames."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from calibration_site import ROOT, Site, make_site

from calibration.exit_codes import ExitCode

NODES = ("2FITS", "RF", "BC", "CA", "MD", "AC", "INGEST_SCI", "PVW", "CL")


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return make_site(tmp_path)


@pytest.mark.parametrize(
    ("arguments", "product"),
    [
        (("--detector", "ACS/WFC", "--small"), "drz"),
        (("--detector", "WFC3/UVIS", "--small", "--telemetry"), "drz"),
        (("--detector", "STIS/CCD"), "flt"),
        (("--detector", "COS/FUV", "--seconds", "20"), "qlx"),
    ],
    ids=["wfc", "uvis from telemetry", "stis", "cos"],
)
def test_nine_nodes_on_simulated_exposures(
    site: Site, arguments: tuple[str, ...], product: str
) -> None:
    dataset = site.simulate(*arguments)[0]
    for node in NODES:
        site.must(node, dataset)
    files = site.manifest(dataset)["files"]
    assert f"{dataset}_{product}.fits" in files
    assert f"{dataset}_preview.png" in files
    assert not (site.root / "work" / dataset).exists()
    for name in files:
        if name.endswith(".fits"):
            with fits.open(site.root / "archive" / dataset / name) as hdus:
                hdus.verify("exception")
    if product == "qlx":
        header = fits.getheader(site.root / "archive" / dataset / f"{dataset}_qlx.fits")
        assert header["QUICKLK"] is True
        assert "NOT calibrated by calcos" in " ".join(header["HISTORY"])


def test_every_node_run_twice_gives_the_same_files(site: Site) -> None:
    dataset = site.simulate("--detector", "ACS/HRC", "--small")[0]

    def snapshot() -> dict[str, bytes]:
        return {
            str(p.relative_to(site.root)): p.read_bytes()
            for p in sorted(site.root.rglob("*"))
            if p.is_file()
        }

    for node in NODES[:-1]:
        site.must(node, dataset)
    first = snapshot()
    for node in NODES[:-1]:
        site.must(node, dataset)
    assert snapshot() == first
    assert not [name for name in first if ".tmp" in name]
    site.must("CL", dataset)
    site.must("CL", dataset)


def test_association(site: Site) -> None:
    name, *members = site.simulate(
        "--detector", "ACS/HRC", "--small", "--members", "3", "--dataset", "jsim01010"
    )
    for member in members:
        for node in ("2FITS", "RF", "BC", "CA"):
            site.must(node, member)
    for node in ("CRCOMB", "MD", "AC", "INGEST_SCI", "PVW", "CL"):
        site.must(node, name)
    files = site.manifest(name)["files"]
    assert {f"{name}_crj.fits", f"{name}_drz.fits", f"{name}_asn.fits"} <= set(files)
    assert {f"{m}_flt.fits" for m in members} <= set(files)
    table = fits.open(site.root / "archive" / name / f"{name}_asn.fits")
    assert table[1].data["MEMPRSNT"].all()
    assert table[0].header["ASN_PROD"] is True
    flags = fits.getdata(site.root / "archive" / name / f"{members[0]}_flt.fits", "DQ")
    assert (flags & 8192).any()
    # Nothing is left in it, so the work area itself is gone.
    assert not (site.root / "work").exists()


# Faults: the node must really fail, say why, and succeed after the repair and a re-run.


def test_missing_dark_then_rescue(site: Site) -> None:
    dataset = site.simulate("--detector", "ACS/HRC", "--small")[0]
    dark = next((site.root / "references").glob("*_drk.fits"))
    kept = dark.with_suffix(".away")
    dark.rename(kept)
    site.must("2FITS", dataset)
    site.fails("RF", dataset, ExitCode.REFERENCE_MISSING, "DARKFILE")
    kept.rename(dark)
    site.must("RF", dataset)
    site.must("BC", dataset)
    dark.rename(kept)
    site.fails("BC", dataset, ExitCode.REFERENCE_MISSING, dark.name)
    site.fails("CA", dataset, ExitCode.REFERENCE_MISSING, dark.name)
    kept.rename(dark)
    site.must("CA", dataset)


def test_truncated_raw(site: Site) -> None:
    dataset = site.simulate("--detector", "ACS/HRC", "--small")[0]
    path = site.root / "incoming" / f"{dataset}_raw.fits"
    whole = path.read_bytes()
    path.write_bytes(whole[:20_000])
    site.fails("2FITS", dataset, ExitCode.INPUT_CORRUPT, path.name, "truncated")
    assert not (site.root / "work" / dataset / path.name).exists()
    path.write_bytes(whole)
    site.must("2FITS", dataset)


def test_damaged_reference_and_wrong_shape(site: Site) -> None:
    dataset = site.simulate("--detector", "ACS/HRC", "--small")[0]
    for node in NODES[:3]:
        site.must(node, dataset)
    flat = next((site.root / "references").glob("*_pfl.fits"))
    whole = flat.read_bytes()
    flat.write_bytes(whole[:30_000])
    site.fails("CA", dataset, ExitCode.REFERENCE_BAD, flat.name)
    flat.write_bytes(whole)
    with fits.open(flat, mode="update") as hdus:
        hdus["SCI"].data = np.ones((10, 10), np.float32)
    site.fails("CA", dataset, ExitCode.REFERENCE_BAD, "10 x 10")


def test_header_faults_are_all_named(site: Site) -> None:
    dataset = site.simulate("--detector", "ACS/HRC", "--small")[0]
    site.must("2FITS", dataset)
    with fits.open(site.root / "work" / dataset / f"{dataset}_raw.fits", mode="update") as hdus:
        hdus[0].header["DARKCORR"] = "MAYBE"
        hdus[0].header["EXPTIME"] = -1.0
    site.fails("BC", dataset, ExitCode.CHECK_BEFORE_FAILED, "DARKCORR", "EXPTIME")


def test_a_product_of_nothing_fails_after_calibration(site: Site) -> None:
    dataset = site.simulate("--detector", "ACS/HRC", "--small")[0]
    for node in NODES[:5]:
        site.must(node, dataset)
    path = site.root / "work" / dataset / f"{dataset}_flt.fits"
    with fits.open(path, mode="update", checksum=True) as hdus:
        hdus["SCI"].data[:] = 0
    site.fails("AC", dataset, ExitCode.CHECK_AFTER_FAILED, "zero")
    with fits.open(path, mode="update", checksum=True) as hdus:
        hdus["SCI"].data[:] = 1
        hdus["DQ"].data[:] = 4
    site.fails("AC", dataset, ExitCode.CHECK_AFTER_FAILED, "not one good pixel")


def test_nothing_is_cleaned_that_does_not_verify(site: Site) -> None:
    dataset = site.simulate("--detector", "ACS/HRC", "--small")[0]
    for node in NODES[:-1]:
        site.must(node, dataset)
    product = site.root / "archive" / dataset / f"{dataset}_flt.fits"
    content = bytearray(product.read_bytes())
    content[-5000] ^= 1
    product.write_bytes(content)
    site.fails("CL", dataset, ExitCode.ARCHIVE_NOT_VERIFIED, product.name)
    assert (site.root / "work" / dataset / product.name).is_file()
    site.must("INGEST_SCI", dataset)
    site.must("CL", dataset)


def test_real_frames_from_telemetry_to_archive(site: Site, shared_data: Path) -> None:
    """The two real HRC frames: raw to the byte, the flt as calacs makes it, in few seconds."""
    frames, oracle = shared_data / "hst/acs_hrc_raw", shared_data / "oracle/hrc_47tuc"
    done = site.run(
        "stage", "--raw", str(frames), "--reference-source", str(oracle / "ref"),
        "--incoming", "incoming", "--references", "references", "--telemetry",
    )  # fmt: skip
    datasets = json.loads(done.stdout)["datasets"]
    assert datasets == ["j8bt05njq", "j8bt06o6q"]
    for dataset in datasets:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        site.must("2FITS", dataset)
        staged = site.root / "work" / dataset / f"{dataset}_raw.fits"
        assert staged.read_bytes() == (frames / staged.name).read_bytes()
        for node in NODES[1:]:
            site.must(node, dataset)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        assert spent < 12
        with (
            fits.open(site.root / "archive" / dataset / f"{dataset}_flt.fits") as ours,
            fits.open(oracle / "out" / f"{dataset}_flt.fits.gz") as theirs,
        ):
            for name in ("SCI", "ERR", "DQ"):
                np.testing.assert_array_equal(ours[name].data, theirs[name].data)


def test_small_nodes_start_quickly() -> None:
    """Start-up is paid by every job: no node may import astropy, crds or drizzle at its start."""
    code = (
        "import sys, importlib; from calibration import cli\n"
        "[importlib.import_module(m) for m in cli.NODES.values()]\n"
        "print([m for m in ('astropy', 'crds', 'drizzle', 'PIL', 'scipy') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.strip() == "[]"
