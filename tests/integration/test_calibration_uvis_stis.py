"""WFC3/UVIS and STIS/CCD through the nodes: closure, switches, combinations, trailers."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from calibration_site import MEMBER_NODES, Site, make_site

from calibration.cli import run_node
from calibration.exit_codes import ExitCode
from calibration.simulate.detectors import model
from calibration.simulate.frames import Scene, light
from calibration.simulate.references import truth

COMBINE = ("CRCOMB", "MD", "AC", "INGEST_SCI", "PVW", "CL")


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return make_site(tmp_path)


def expected(name: str, which: int, scene: Scene) -> Any:
    """Return the electrons of a chip's light, as the better chip would see it."""
    detector = model(name, small=True)
    chip = detector.chips[which]
    efficiency = detector.efficiency if chip.chip == 2 else 1.0
    return light(detector, chip, scene) * scene.seconds / efficiency


def inside(site: Site, node: str, dataset: str) -> None:
    """Run a node in this process, for what other tests drive as processes."""
    names = ("incoming", "work", "archive", "references")
    folders = [f"--{name}={site.root / name}" for name in names]
    run_node(node, ["--dataset", dataset, *folders])


def edit(path: Path, **cards: Any) -> None:
    with fits.open(path, mode="update") as hdus:
        for key, value in cards.items():
            hdus[0].header[key] = value


@pytest.fixture(scope="module")
def uvis(tmp_path_factory: pytest.TempPathFactory) -> tuple[Site, str]:
    """An exposure of UVIS after CA."""
    site = make_site(tmp_path_factory.mktemp("uvis"))
    dataset = site.simulate("--detector", "WFC3/UVIS", "--small", "--rays", "0")[0]
    for node in MEMBER_NODES:
        site.must(node, dataset)
    return site, dataset


def calibrate(site: Site, dataset: str, **cards: Any) -> fits.HDUList:
    """Run CA with these cards in the raw file; return the product in memory."""
    raw = site.root / "work" / dataset / f"{dataset}_raw.fits"
    kept = raw.read_bytes()
    edit(raw, **cards)
    try:
        inside(site, "CA", dataset)
    finally:
        raw.write_bytes(kept)
    with fits.open(raw.with_name(f"{dataset}_flt.fits"), memmap=False) as hdus:
        return fits.HDUList([hdu.copy() for hdu in hdus])


def pulls(product: fits.HDUList, version: int) -> Any:
    scene = Scene(seconds=300.0, rays=0)
    good = product["DQ", version].data == 0
    off = product["SCI", version].data - expected("WFC3/UVIS", version - 1, scene)
    return (off / product["ERR", version].data)[good]


def test_uvis_closes_on_the_light_of_both_chips(uvis: tuple[Site, str]) -> None:
    """The kernel and FLUXCORR: chip 2 sees 2 % less, and is brought to chip 1's scale."""
    product = calibrate(*uvis)
    for version in (1, 2):
        pull = pulls(product, version)
        assert abs(float(np.median(pull))) < 0.05
        assert 0.9 < float(pull.std()) < 1.1
        assert product["SCI", version].header["BUNIT"] == "ELECTRONS"
    assert (product["DQ", 1].data & 1024).any()
    header, second, first = product[0].header, product["SCI", 1].header, product["SCI", 2].header
    assert header["FLUXCORR"] == "COMPLETE"
    assert header["PHTRATIO"] == pytest.approx(1 / 0.98, rel=1e-6)
    assert second["PHOTMODE"].startswith("WFC3 UVIS2 F606W MJD#")
    assert first["PHOTMODE"].startswith("WFC3 UVIS1 F606W MJD#")
    for chip, key in ((second, "PHTFLAM2"), (first, "PHTFLAM1")):
        assert chip["PHOTFNU"] == pytest.approx(3.33564e4 * chip[key] * 5889.0**2, rel=1e-6)
    assert first["PHTFLAM2"] / first["PHTFLAM1"] == pytest.approx(1 / 0.98, rel=1e-6)


def mistake(product: fits.HDUList) -> float:
    """Return how far a product is from the light: level, scale, bias pattern, scatter."""
    detector, worst = model("WFC3/UVIS", small=True), 0.0
    for version, chip in enumerate(detector.chips, 1):
        light_of = expected("WFC3/UVIS", version - 1, Scene(seconds=300.0, rays=0))
        good = (product["DQ", version].data == 0) & (product["ERR", version].data > 0)
        error = (product["SCI", version].data - light_of)[good]
        sigma = np.sqrt(light_of + 15)[good]
        rows = slice(chip.trim_y[0], chip.trim_y[0] + detector.height)
        bias = truth(detector, chip).bias[rows]
        bias = np.concatenate([bias[:, detector.science(chip, a)] for a in chip.amps], axis=1)
        pattern = bias[good] * 1.55
        bright = light_of[good] > 3000
        worst = max(
            worst,
            abs(float(np.median(error / sigma))) * 3,
            abs(float(np.median((error / light_of[good])[bright]))) * 30,
            abs(float((error * pattern / sigma**2).sum() / (pattern**2 / sigma**2).sum())),
            float((error / sigma).std()) - 1,
        )
    return worst


def test_uvis_with_all_switches_makes_no_mistake(uvis: tuple[Site, str]) -> None:
    assert mistake(calibrate(*uvis)) < 0.3


@pytest.mark.parametrize(
    "switch", ["ATODCORR", "BLEVCORR", "BIASCORR", "FLSHCORR", "DARKCORR", "FLATCORR", "FLUXCORR"]
)
def test_each_switch_of_uvis_is_needed(uvis: tuple[Site, str], switch: str) -> None:
    product = calibrate(*uvis, **{switch: "OMIT"})
    assert product[0].header[switch] == "OMIT"
    assert mistake(product) > 0.35


def test_sinks_and_saturation_come_with_dqicorr(uvis: tuple[Site, str]) -> None:
    with_flags, without = calibrate(*uvis), calibrate(*uvis, DQICORR="OMIT")
    for bit in (4, 1024):
        assert (with_flags["DQ", 1].data & bit).any()
        assert not (without["DQ", 1].data & bit).any()


def test_bad_pixels_right_of_the_virtual_overscan_are_where_the_table_says(
    uvis: tuple[Site, str],
) -> None:
    site, dataset = uvis
    table = next((site.root / "references").glob("*_bpx.fits"))
    kept = table.read_bytes()
    with fits.open(table, mode="update") as hdus:
        hdus[1].data["PIX1"][0], hdus[1].data["CCDCHIP"][0] = 201, 2
    try:
        product = calibrate(site, dataset)
    finally:
        table.write_bytes(kept)
    flagged = np.argwhere(product["DQ", 1].data & 4)
    assert [29, 200] in flagged.tolist()
    assert [29, 207] in flagged.tolist()
    assert [29, 140] not in flagged.tolist()


def test_a_dummy_reference_and_a_missing_sensitivity_skip_aloud(uvis: tuple[Site, str]) -> None:
    site, dataset = uvis
    flash = next((site.root / "references").glob("*_fls.fits"))
    kept = flash.read_bytes()
    edit(flash, PEDIGREE="DUMMY 01/01/2009")
    try:
        product = calibrate(site, dataset, PHOTCORR="OMIT")
    finally:
        flash.write_bytes(kept)
    assert product[0].header["FLSHCORR"] == "SKIPPED"
    assert product[0].header["FLUXCORR"] == "SKIPPED"
    history = list(product[0].header["HISTORY"])
    assert f"FLSHCORR skipped: PEDIGREE of {flash.name} is DUMMY" in history
    assert len([line for line in history if line.startswith("FLUXCORR skipped")]) == 1
    trailer = (site.root / "work" / dataset / f"{dataset}.tra").read_text().splitlines()
    assert "FLSHCORR SKIPPED" in trailer
    assert "PHOTCORR OMIT" in trailer


def test_history_and_trailer_tell_the_order_and_the_references(uvis: tuple[Site, str]) -> None:
    site, dataset = uvis
    product = calibrate(site, dataset)
    order = ["DQICORR", "ATODCORR", "BLEVCORR", "BIASCORR", "FLSHCORR", "DARKCORR", "FLATCORR",
             "PHOTCORR", "FLUXCORR"]  # fmt: skip
    history = list(product[0].header["HISTORY"])
    assert [line.split()[0] for line in history if line.endswith("complete ...")] == order
    trailer = (site.root / "work" / dataset / f"{dataset}.tra").read_text().splitlines()
    done = [line.split()[0] for line in trailer if re.fullmatch(r"\w+CORR +PERFORM", line)]
    assert done[: len(order)] == order
    at = trailer.index("DARKCORR PERFORM")
    assert trailer[at + 1 : at + 5] == [
        "DARKFILE simuvis256_drk.fits", "DARKFILE PEDIGREE=MODEL",
        "DARKFILE DESCRIP =simulated dark", "DARKCORR COMPLETE",
    ]  # fmt: skip


def sets_of(site: Site, association: str, kinds: list[str], products: dict[str, str]) -> None:
    """Rewrite an association's table: a MEMTYPE per member, and product rows."""
    path = site.root / "incoming" / f"{association}_asn.fits"
    with fits.open(path) as hdus:
        names = [str(n) for n in hdus[1].data["MEMNAME"][: len(kinds)]]
        primary = hdus[0].copy()
    types = [*kinds, *products]
    table = fits.BinTableHDU.from_columns(
        [
            fits.Column("MEMNAME", "14A", array=[*names, *(p.upper() for p in products.values())]),
            fits.Column("MEMTYPE", "14A", array=types),
            fits.Column("MEMPRSNT", "L", array=[True] * len(kinds) + [False] * len(products)),
        ],
        name="ASN",
    )
    fits.HDUList([primary, table]).writeto(path, overwrite=True)


def test_an_association_of_uvis_with_two_splits_and_a_repeat(site: Site) -> None:
    """Two EXP-CRn sets and one EXP-RPT: each has its product under its own name."""
    name, *members = site.simulate(
        "--detector", "WFC3/UVIS", "--small", "--members", "6", "--dataset", "isim02010",
        "--stars", "20",
    )  # fmt: skip
    sets_of(
        site, name, ["EXP-CR1", "EXP-CR1", "EXP-CR2", "EXP-CR2", "EXP-RP1", "EXP-RP1"],
        {"PROD-CR1": "isim02011", "PROD-CR2": "isim02012", "PROD-RP1": "isim02013",
         "PROD-DTH": name},
    )  # fmt: skip
    for member in members[4:]:
        edit(site.root / "incoming" / f"{member}_raw.fits", CRCORR="OMIT", RPTCORR="PERFORM")
    for member in members:
        for node in MEMBER_NODES:
            inside(site, node, member)
    parts = [site.root / "work" / m / f"{m}_flt.fits" for m in members[4:]]
    arrays = [fits.getdata(p, ("SCI", 1)).astype(float) for p in parts]
    errors = [fits.getdata(p, ("ERR", 1)).astype(float) for p in parts]
    flags = [fits.getdata(p, ("DQ", 1)) for p in parts]
    for node in COMBINE:
        site.must(node, name)
    files = site.manifest(name)["files"]
    for product in ("isim02011_crj", "isim02012_crj", "isim02013_sfl"):
        assert f"{product}.fits" in files
    assert f"{name}_crj.fits" not in files
    with fits.open(site.archived(name, "isim02013_sfl.fits")) as total:
        np.testing.assert_allclose(total["SCI", 1].data, sum(arrays), rtol=1e-5, atol=1e-3)
        np.testing.assert_allclose(total["ERR", 1].data, np.hypot(*errors), rtol=1e-5)
        np.testing.assert_array_equal(total["DQ", 1].data, flags[0] | flags[1])
        assert total[0].header["EXPTIME"] == 600.0
        assert total[0].header["NCOMBINE"] == 2
        assert total[0].header["RPTCORR"] == "COMPLETE"
        assert total[0].header["ROOTNAME"] == "isim02013"
    with fits.open(site.archived(name, "isim02012_crj.fits")) as clean:
        assert clean["SCI", 1].header["BUNIT"] == "ELECTRONS"
        assert clean["SCI", 1].header["NCOMBINE"] == 2
        assert clean[0].header["FLUXCORR"] == "COMPLETE"
        scene = Scene(seconds=300.0, stars=20)
        whole = 2 * expected("WFC3/UVIS", 0, scene)
        good = clean["DQ", 1].data == 0
        pull = ((clean["SCI", 1].data - whole) / clean["ERR", 1].data)[good]
        assert abs(float(np.median(pull))) < 0.1
        # ERR comes from what was measured, and is too small where that is low by chance
        off = (clean["SCI", 1].data - whole)[good]
        assert (np.abs(off) < 5 * np.sqrt(whole[good] + 2 * (6 + 3.2**2))).mean() > 0.999
    hit = fits.getdata(site.archived(name, f"{members[2]}_flt.fits"), ("DQ", 1)) & 8192
    assert hit.any()
    table = fits.getdata(site.archived(name, f"{name}_asn.fits"), 1)
    assert table["MEMPRSNT"].all()
    assert set(site.manifest(name)["observations"]) == {
        name, *members, "isim02011", "isim02012", "isim02013",
    }  # fmt: skip
    assert not (site.root / "work").exists()


def test_imsets_of_stis_are_combined_within_the_file(site: Site) -> None:
    dataset = site.simulate("--detector", "STIS/CCD", "--splits", "2", "--stars", "20")[0]
    for node in (*MEMBER_NODES, "MD", "AC", "INGEST_SCI", "PVW"):
        site.must(node, dataset)
    files = site.manifest(dataset)["files"]
    assert {f"{dataset}_crj.fits", f"{dataset}_flt.fits"} <= set(files)
    seen = light(model("STIS/CCD"), model("STIS/CCD").chips[0], Scene(stars=20)) * 600.0
    with (
        fits.open(site.archived(dataset, f"{dataset}_crj.fits")) as clean,
        fits.open(site.archived(dataset, f"{dataset}_flt.fits")) as single,
    ):
        assert [h.name for h in single[1:]] == ["SCI", "ERR", "DQ"] * 2
        assert clean["SCI"].header["EXPTIME"] == 600.0
        assert clean["SCI"].header["NCOMBINE"] == 2
        assert clean["SCI"].header["BUNIT"] == "COUNTS"
        assert clean[0].header["CRCORR"] == "COMPLETE"
        assert clean[0].header["PHOTFLAM"] == pytest.approx(9.9e-20, rel=1e-6)
        assert clean[0].header["PHOTMODE"].startswith("STIS 50CCD A2D1 MIRROR CCD MJD#")
        good = clean["DQ"].data == 0
        off = (clean["SCI"].data - seen)[good]
        assert abs(float(np.median(off))) < 0.3
        assert (np.abs(off / clean["ERR"].data[good]) < 5).mean() > 0.9995
        assert all((single["DQ", v].data & 8192).any() for v in (1, 2))
        rays = np.abs(single["SCI", 1].data - seen / 2) > 250
        assert (
            single["DQ", 1].data[rays & (single["DQ", 1].data & ~8192 == 0)] & 8192
        ).mean() > 0.9


def test_repeated_imsets_of_stis_are_summed(site: Site) -> None:
    dataset = site.simulate("--detector", "STIS/CCD", "--splits", "2", "--rays", "0")[0]
    raw = site.root / "incoming" / f"{dataset}_raw.fits"
    edit(raw, CRCORR="OMIT", RPTCORR="PERFORM")
    for node in (*MEMBER_NODES, "AC"):
        inside(site, node, dataset)
    folder = site.root / "work" / dataset
    with (
        fits.open(folder / f"{dataset}_sfl.fits") as total,
        fits.open(folder / f"{dataset}_flt.fits") as single,
    ):
        both = [single["SCI", v].data.astype(float) for v in (1, 2)]
        np.testing.assert_allclose(total["SCI"].data, sum(both), rtol=1e-5, atol=1e-3)
        assert total["SCI"].header["EXPTIME"] == 600.0
        assert total[0].header["NCOMBINE"] == 2


@pytest.mark.parametrize("dataset", ["ocoa03q2q", "oc7w11viq"])
def test_acquisition_images_have_nothing_to_be_done(
    site: Site, shared_data: Path, dataset: str
) -> None:
    source = shared_data / "hst/stis_acq" / f"{dataset}_raw.fits"
    shutil.copy(source, site.root / "incoming" / source.name)
    for node in MEMBER_NODES[:3]:
        inside(site, node, dataset)
    site.fails("CA", dataset, ExitCode.NOT_SUPPORTED, "OBSMODE", "no switch is PERFORM")


def test_a_real_subarray_is_calibrated_with_full_frame_references(
    site: Site, shared_data: Path
) -> None:
    """Switched on, an acquisition of 104 x 104 pixels takes its part of bias, dark and flat."""
    dataset = "ocoa03q2q"
    site.simulate("--detector", "STIS/CCD", "--rays", "0")
    for path in (site.root / "references").glob("*.fits"):
        with fits.open(path, mode="update") as hdus:
            for key in ("NUMCOLS", "NUMROWS"):
                del hdus[0].header[key]
            if path.name.endswith("_ccd.fits"):
                hdus[1].data["CCDGAIN"] = 4
    raw = site.root / "incoming" / f"{dataset}_raw.fits"
    shutil.copy(shared_data / "hst/stis_acq" / raw.name, raw)
    raw.chmod(0o644)
    on = ("DQICORR", "BLEVCORR", "BIASCORR", "DARKCORR", "FLATCORR")
    edit(raw, SIMULATE="OWL", **dict.fromkeys(on, "PERFORM"))
    for node in MEMBER_NODES:
        inside(site, node, dataset)
    with (
        fits.open(site.root / "work" / dataset / f"{dataset}_flt.fits") as product,
        fits.open(raw) as source,
    ):
        references = {
            k: fits.getdata(next((site.root / "references").glob(f"*_{k}.fits")), "SCI")
            for k in ("bia", "drk", "pfl")
        }
        here = slice(463, 567), slice(465, 569)
        header = source["SCI", 1].header
        factor = 1 + 0.07 * (header["OCCDHTAV"] - 18)
        level = source["SCI", 1].data - 1510.0 - references["bia"][here]
        dark = references["drk"][here] * factor * header["EXPTIME"]
        flat = references["pfl"][here]
        np.testing.assert_allclose(
            product["SCI", 1].data, (level - dark) / flat, rtol=1e-5, atol=1e-2
        )
        assert product["SCI", 3].data.shape == (30, 30)


def test_the_post_flash_of_acs_is_taken_from_the_combined_image(site: Site) -> None:
    """acsrej adds FLASHDUR up; FLSHCORR comes after the dark of the sum."""
    name, *members = site.simulate(
        "--detector", "ACS/HRC", "--small", "--members", "2", "--dataset", "jsim03010"
    )
    references = site.root / "references"
    dark = next(references.glob("*_drk.fits"))
    flash = dark.with_name(dark.name.replace("_drk", "_fls"))
    shutil.copy(dark, flash)
    with fits.open(flash, mode="update") as hdus:
        hdus[0].header["FILETYPE"] = "POST FLASH"
        hdus["SCI"].data[:], hdus["ERR"].data[:], hdus["DQ"].data[:] = 3.0, 0.0, 0
    images = []
    for seconds in (4.0, 0.0):
        for member in members:
            raw = site.root / "incoming" / f"{member}_raw.fits"
            edit(raw, FLSHCORR="PERFORM", FLASHDUR=seconds)
            for node in MEMBER_NODES:
                inside(site, node, member)
        inside(site, "CRCOMB", name)
        with fits.open(site.root / "work" / name / f"{name}_crj.fits", memmap=False) as hdus:
            state = hdus[0].header["FLSHCORR"], hdus[0].header["FLASHDUR"]
            images.append((state, hdus["SCI"].data.copy(), hdus["DQ"].data.copy()))
    (with_flash, first, dq), (without, second, _) = images
    assert (with_flash, without) == (("COMPLETE", 8.0), ("SKIPPED", 0.0))
    flat = fits.getdata(next(references.glob("*_pfl.fits")), "SCI")
    good = dq & 512 == 0
    np.testing.assert_allclose((second - first)[good], 24.0 / flat[good], rtol=1e-3, atol=2e-3)
