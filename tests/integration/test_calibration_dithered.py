"""MD on dithered associations: every node a process, on simulated exposures of one sky."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from calibration_site import MEMBER_NODES, Site, make_site

from calibration.exit_codes import CalibrationError, ExitCode
from calibration.nodes.drizzle_options import settings_of
from calibration.simulate.detectors import model
from calibration.simulate.dithers import BOX, DitheredScene, write_dithers
from calibration.simulate.frames import expose
from calibration.simulate.references import write_references

NAME = "jdth01010"
COUNT, SECONDS, STARS, RAYS = 3, 300.0, 40, 60
WFC = model("ACS/WFC", small=True)


@pytest.fixture(scope="module")
def calibrated(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """Three dithered WFC exposures (small chips) up to CA."""
    site = make_site(tmp_path_factory.mktemp("dithers"))
    write_references(WFC, site.root / "references")
    members = write_dithers(
        WFC, site.root / "incoming", NAME, count=COUNT, seconds=SECONDS, rays=RAYS, stars=STARS
    )
    for member in members:
        for node in MEMBER_NODES:
            site.must(node, member)
    return site


@pytest.fixture
def site(calibrated: Site, tmp_path: Path) -> Site:
    """A copy of it that a test may change."""
    shutil.copytree(calibrated.root, tmp_path / "site")
    return Site(tmp_path / "site")


def members(site: Site) -> list[str]:
    return sorted(p.name for p in (site.root / "work").iterdir() if p.name != NAME)


def flt(site: Site, member: str) -> Path:
    return site.root / "work" / member / f"{member}_flt.fits"


def product(site: Site, suffix: str = "drz") -> Path:
    return site.root / "work" / NAME / f"{NAME}_{suffix}.fits"


def scene(exposure: int, rays: int = RAYS) -> DitheredScene:
    return DitheredScene(SECONDS, STARS, rays, offset=BOX[exposure])


def test_rays_are_found_and_stars_are_not(site: Site) -> None:
    site.must("MD", NAME)
    found_of, true_of, by_chance, pixels = 0, 0, 0, 0
    for number, member in enumerate(members(site)):
        with fits.open(flt(site, member)) as hdus:
            for version, chip in enumerate(WFC.chips, 1):
                flags, err = hdus["DQ", version].data, hdus["ERR", version].data
                drizzle = (flags & 4096) != 0
                _, expected, hit = expose(WFC, chip, scene(number), number)
                clean = np.asarray(expected)
                excess = hdus["SCI", version].data - _as_product(clean, WFC, chip)
                usable = (flags & ~(4096 | 16)) == 0
                usable[:10], usable[-10:], usable[:, :10], usable[:, -10:] = (False,) * 4
                strong = hit & usable & (excess > 10 * err)
                found_of += int((strong & drizzle).sum())
                true_of += int(strong.sum())
                near = np.zeros_like(hit)
                near[1:-1, 1:-1] = np.lib.stride_tricks.sliding_window_view(hit, (3, 3)).any((2, 3))
                quiet = usable & ~near & ((flags & 16) == 0)
                by_chance += int((drizzle & quiet).sum())
                pixels += int(quiet.sum())
                for x, y, _ in scene(number).catalogue(WFC, chip):
                    core = np.s_[round(y) - 1 : round(y) + 2, round(x) - 1 : round(x) + 2]
                    assert not (drizzle[core] & ~near[core]).any(), (member, version, x, y)
    assert true_of > 500
    assert found_of >= 0.95 * true_of
    # Noise alone passes the limit of 3.5 sigma in 2.3e-4 of the pixels, upwards.
    assert by_chance < 5e-4 * pixels


def _as_product(expected: np.ndarray, detector: object, chip: object) -> np.ndarray:
    """Take dark and flat out of noiseless electrons, as CA does."""
    from calibration.simulate.references import truth

    known = truth(detector, chip)  # type: ignore[arg-type]
    flat = np.where(known.flat == 0, 1, known.flat)
    return np.asarray((expected - known.dark * SECONDS) / flat)


def test_the_product_is_free_of_rays_and_says_what_it_is(site: Site) -> None:
    site.must("MD", NAME)
    with fits.open(product(site)) as hdus:
        primary, image, weight = hdus[0].header, hdus["SCI"], hdus["WHT"].data
        pixels = image.data
        assert hdus["CTX"].data.max() < 1 << 6
        assert len(np.unique(hdus["CTX"].data)) > 4
    assert primary["NDRIZIM"] == 6
    assert primary["EXPTIME"] == primary["TEXPTIME"] == COUNT * SECONDS
    assert primary["EXPSTART"] == pytest.approx(53000.5)
    assert primary["EXPEND"] == pytest.approx(53000.5 + (3 * 300 + 2 * 120) / 86400)
    assert primary["ASN_ID"] == NAME.upper()
    assert primary["DRIZCORR"] == "COMPLETE"
    assert primary["D001DATA"] == f"{members(site)[0]}_flt.fits[sci,1]"
    assert primary["D006DATA"] == f"{members(site)[2]}_flt.fits[sci,2]"
    assert (primary["D001KERN"], primary["D001PIXF"], primary["D001DEXP"]) == ("square", 1.0, 300.0)
    assert primary["D001OUDA"] == f"{NAME}_drz.fits[SCI,1]"
    assert image.header["BUNIT"] == "ELECTRONS/S"
    assert image.header["NCOMBINE"] == COUNT
    assert image.header["PHOTFLAM"] > 0
    assert "CCDCHIP" not in image.header
    assert image.header["CD1_1"] < 0 < image.header["CD2_2"]
    assert image.header["CD1_2"] == image.header["CD2_1"] == 0
    assert weight.max() == pytest.approx(COUNT * SECONDS, rel=0.05)
    full = weight > 2.5 * SECONDS
    assert abs(np.nanmedian(pixels[full])) < 0.005  # the sky of 0.05 is gone
    site.must("MD", NAME, "--option", "rays=no", "--option", "bits=6480")  # 4096 and the others
    with fits.open(product(site)) as hdus:
        hit = full & (hdus["SCI"].data - pixels > 0.3)  # a third of 300 electrons or more
    assert hit.sum() > 500
    assert (pixels[hit] < 0.3).mean() > 0.95


def test_stars_keep_their_flux(site: Site) -> None:
    """Aperture sums on the product against the simulated flux, both chips."""
    from astropy.wcs import WCS

    site.must("MD", NAME)
    with fits.open(product(site)) as hdus, fits.open(flt(site, members(site)[0])) as first:
        image, grid = hdus["SCI"].data, WCS(hdus["SCI"].header)
        places = [
            (*grid.all_world2pix(*WCS(first["SCI", v].header).all_pix2world(x, y, 0), 0), flux)
            for v, chip in enumerate(WFC.chips, 1)
            for x, y, flux in scene(0).catalogue(WFC, chip)
        ]
    yy, xx = np.mgrid[0 : image.shape[0], 0 : image.shape[1]]
    ratios = []
    for x, y, flux in places:
        alone = all(np.hypot(x - a, y - b) > 14 for a, b, _ in places if (a, b) != (x, y))
        if flux > 40 and alone:
            ratios.append(np.nansum(image[np.hypot(xx - x, yy - y) < 6]) / flux)
    assert len(ratios) >= 5
    assert np.median(ratios) == pytest.approx(1.0, abs=0.01)


def test_running_again_and_in_another_order_gives_the_same_bytes(site: Site) -> None:
    names = members(site)
    with fits.open(flt(site, names[0]), mode="update") as hdus:
        hdus["DQ", 1].data[50:60, 50:60] |= 4096  # of an earlier run, with other members
    site.must("MD", NAME)
    assert not (fits.getdata(flt(site, names[0]), "DQ", 1)[50:60, 50:60] & 4096).all()
    files = [product(site), *(flt(site, m) for m in names)]
    first = [f.read_bytes() for f in files]
    site.must("MD", NAME, "--members", *reversed(names))
    assert [f.read_bytes() for f in files] == first
    with fits.open(flt(site, names[0])) as hdus:
        assert hdus["SCI", 1].header["MDRIZSKY"] > 0


def test_exposures_without_time_are_left_out_and_alone_refused(site: Site) -> None:
    names = members(site)
    for member in names[:2]:
        with fits.open(flt(site, member), mode="update") as hdus:
            hdus[0].header["EXPTIME"] = 0.0
    out = site.must("MD", NAME)
    assert f"{names[0]}_flt.fits left out: EXPTIME = 0" in out
    assert fits.getheader(product(site))["NDRIZIM"] == 2
    assert "not looked for" in str(fits.getheader(product(site))["HISTORY"])
    site.fails("MD", names[0], ExitCode.DRIZZLE_ERROR, "EXPTIME = 0", names[0])


def test_exposures_that_lie_far_apart_are_refused_before_any_work(site: Site) -> None:
    with fits.open(flt(site, members(site)[1]), mode="update") as hdus:
        for version in (1, 2):
            hdus["SCI", version].header["CRVAL1"] += 3.0
    site.fails("MD", NAME, ExitCode.DRIZZLE_ERROR, "too far apart", "CRVAL1")


def test_members_of_another_algorithm_are_refused(site: Site) -> None:
    site.fails("MD", NAME, ExitCode.ASSOCIATION_ERROR, "OWLALGO",
               options=("--algorithm", "corrected"))  # fmt: skip


def test_rates_give_the_same_rays_as_counts(site: Site) -> None:
    site.must("MD", NAME)
    name = members(site)[1]
    before = fits.getdata(flt(site, name), "DQ", 2) & 4096
    with fits.open(flt(site, name), mode="update") as hdus:
        for version in (1, 2):
            hdus["SCI", version].data /= SECONDS
            hdus["SCI", version].header["BUNIT"] = "ELECTRONS/S"
    site.must("MD", NAME)
    after = fits.getdata(flt(site, name), "DQ", 2) & 4096
    assert before.any()
    assert (before != after).sum() <= 2  # rounding at the limit


def test_corrected_for_transfer_losses_the_product_is_a_drc(site: Site) -> None:
    for member in members(site):
        shutil.copy(flt(site, member), flt(site, member).with_name(f"{member}_flc.fits"))
    site.must("MD", NAME)
    assert fits.getheader(product(site, "drc"))["D001DATA"].endswith("_flc.fits[sci,1]")
    assert not product(site).exists()
    flags = [fits.getdata(flt(site, members(site)[0]).with_name(n), "DQ", 1) for n in
             (f"{members(site)[0]}_flt.fits", f"{members(site)[0]}_flc.fits")]  # fmt: skip
    assert (flags[0] & 4096).any()
    np.testing.assert_array_equal(flags[0], flags[1])


def test_the_product_passes_the_later_nodes(site: Site) -> None:
    for node in ("MD", "AC", "INGEST_SCI", "PVW", "CL"):
        site.must(node, NAME)
    assert f"{NAME}_drz.fits" in site.manifest(NAME)["files"]
    table = fits.getdata(site.archived(NAME, f"{NAME}_asn.fits"), 1)
    assert table["MEMPRSNT"].all()


def test_options(site: Site) -> None:
    options = ("kernel=point", "pixfrac=0.8", "weight=error", "rays=no", "sky=no", "scale=0.04")
    site.must("MD", NAME, *(word for o in options for word in ("--option", o)))
    with fits.open(product(site)) as hdus:
        header, weight, sky = hdus[0].header, hdus["WHT"].data, np.nanmedian(hdus["SCI"].data)
        scale = hdus["SCI"].header["CD2_2"] * 3600
    assert (header["D001KERN"], header["D001PIXF"]) == ("point", 0.8)
    assert scale == pytest.approx(0.04)
    assert sky == pytest.approx(0.05 * (0.04 / 0.0504) ** 2, rel=0.1)
    assert weight.max() > 5 * COUNT * SECONDS  # (300 s / 5 e-)^2, not 300 s
    assert not (fits.getdata(flt(site, members(site)[0]), "DQ", 1) & 4096).any()
    site.fails("MD", NAME, ExitCode.USAGE_ERROR, "bits", options=("--option", "bits"))


@pytest.mark.parametrize("wrong", [
    ("kernel", "round"), ("pixfrac", "2"), ("sky", "perhaps"), ("hat", "on"), ("bits", "many"),
    ("scale", "0"), ("weight", ""),
])  # fmt: skip
def test_wrong_options_are_named(wrong: tuple[str, str]) -> None:
    with pytest.raises(CalibrationError) as caught:
        settings_of(dict([wrong]))
    assert caught.value.code == ExitCode.USAGE_ERROR
    assert f"--option {wrong[0]}={wrong[1]}" in caught.value.message


def test_cr_split_sets_are_drizzled_from_their_sums(site: Site) -> None:
    """Two sets of one association; test_calibration_chain.py makes a real sum."""
    names = members(site)
    table = site.root / "incoming" / f"{NAME}_asn.fits"
    with fits.open(table, mode="update") as hdus:
        hdus[1].data["MEMTYPE"] = ["EXP-CR1", "EXP-CR1", "EXP-DTH", "PROD-DTH"]
        rows = hdus[1].data.tolist()
        rows.insert(2, (f"{NAME[:-1]}1", "PROD-CR1", False))
        columns = fits.ColDefs([
            fits.Column(n, f, array=list(c))
            for n, f, c in zip(("MEMNAME", "MEMTYPE", "MEMPRSNT"), ("14A", "14A", "L"),
                               zip(*rows, strict=True), strict=True)
        ])  # fmt: skip
        hdus[1] = fits.BinTableHDU.from_columns(columns, name="ASN")
    total = f"{NAME[:-1]}1"
    summed = site.root / "work" / total / f"{total}_crj.fits"
    summed.parent.mkdir()
    shutil.copy(flt(site, names[0]), summed)
    with fits.open(summed, mode="update") as hdus:
        hdus[0].header["EXPTIME"] = 2 * SECONDS
        for version in (1, 2):
            hdus["SCI", version].data *= 2
    before = flt(site, names[0]).read_bytes()
    site.must("MD", NAME)
    header = fits.getheader(product(site))
    assert header["NDRIZIM"] == 4
    assert header["D001DATA"] == f"{total}_crj.fits[sci,1]"
    assert header["D003DATA"] == f"{names[2]}_flt.fits[sci,1]"
    assert header["EXPTIME"] == 3 * SECONDS
    assert flt(site, names[0]).read_bytes() == before
    assert (fits.getdata(summed, "DQ", 1) & 4096).any()
