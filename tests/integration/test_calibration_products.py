"""AC: every check finds the product that it is for, and the association's table is kept right."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from calibration_site import Site, make_site

from calibration.cli import NODES
from calibration.context import Context
from calibration.exit_codes import CalibrationError, ExitCode
from calibration.fits import Column, Hdu, image_hdu, read, read_table, table_hdu, write
from calibration.nodes.product_checks import faults_of, open_product

ASN, FIRST, SECOND = "jsim01010", "jsim01abq", "jsim01acq"
Hdus = list[Hdu]


def run(root: Path, node: str, dataset: str, **options: Any) -> None:
    folders = [root / n for n in ("incoming", "work", "archive", "references")]
    import_module(NODES[node]).run(Context(node, dataset, *folders, **options))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    site = make_site(tmp_path_factory.mktemp("ac"))
    site.simulate("--detector", "ACS/WFC", "--small", "--members", "2", "--dataset", ASN)
    for member in (FIRST, SECOND):
        for node in ("2FITS", "RF", "BC", "CA"):
            run(site.root, node, member)
    for node in ("CRCOMB", "MD"):
        run(site.root, node, ASN)
    return site.root / "work"


def found(made: Path, folder: Path, suffix: str, change: Callable[[Hdus], None]) -> list[str]:
    """Change a copy of a product and return what is said of it."""
    dataset = FIRST if suffix == "flt" else ASN
    hdus = [Hdu(h.header.copy(), h.raw) for h in read(made / dataset / f"{dataset}_{suffix}.fits")]
    change(hdus)
    path = folder / f"{dataset}_{suffix}.fits"
    write(path, hdus)
    members = (FIRST,) if suffix == "flt" else (FIRST, SECOND)
    raws = {name: made / name / f"{name}_raw.fits" for name in members}
    return faults_of(open_product(path, suffix, dataset, raws))


def card(extension: int, key: str, value: Any) -> Callable[[Hdus], None]:
    def change(hdus: Hdus) -> None:
        header = hdus[extension].header
        header.remove(key) if value is None else header.set(key, value)

    return change


def pixels(extension: int, fill: Callable[[Any], Any]) -> Callable[[Hdus], None]:
    def change(hdus: Hdus) -> None:
        hdu = hdus[extension]
        hdus[extension] = image_hdu(hdu.header, fill(hdu.image()))

    return change


def both(*changes: Callable[[Hdus], None]) -> Callable[[Hdus], None]:
    def change(hdus: Hdus) -> None:
        for one in changes:
            one(hdus)

    return change


def drop(extension: int) -> Callable[[Hdus], None]:
    def change(hdus: Hdus) -> None:
        del hdus[extension]
        hdus[0].header.set("NEXTEND", len(hdus) - 1)

    return change


def spot(value: float) -> Callable[[Any], Any]:
    def fill(image: Any) -> Any:
        image[50:52, 60] = value
        return image

    return fill


def without_names(hdus: Hdus) -> None:
    for hdu in hdus:
        hdu.header.cards = [c.replace(SECOND, "j" * 9) for c in hdu.header.cards]


SINGULAR = both(*(card(k, key, 1e-5) for k in (1, 2, 3) for key in
                  ("CD1_1", "CD1_2", "CD2_1", "CD2_2")))  # fmt: skip

# Extensions of the flt and crj: 1 to 3 SCI, ERR and DQ of chip 2, 4 to 6 those of chip 1.
BROKEN = {
    "name": ("flt", card(0, "FILENAME", "other_flt.fits"), "FILENAME = 'other_flt.fits' [name]"),
    "rootname": ("flt", card(0, "ROOTNAME", "other"), "ROOTNAME = 'other'"),
    "telescope": ("flt", card(0, "TELESCOP", None), "TELESCOP is absent [keywords]"),
    "date": ("crj", card(0, "DATE-OBS", None), "DATE-OBS is absent [keywords]"),
    "version": ("drz", card(0, "CAL_VER", None), "CAL_VER is absent [keywords]"),
    "nextend": ("flt", card(0, "NEXTEND", 4), "NEXTEND = 4 but there are 6 [extensions]"),
    "no err": ("flt", drop(2), "extension ERR,1 is absent [extensions]"),
    "no dq": ("crj", drop(6), "extension DQ,2 is absent [extensions]"),
    "no weight": ("drz", drop(2), "extension WHT,1 is absent [extensions]"),
    "no context": ("drz", drop(3), "extension CTX,1 is absent [extensions]"),
    "one chip": ("flt", both(drop(4), drop(4), drop(4)), "1 chips, the raw file has 2"),
    "two of one": ("flt", card(5, "EXTVER", 1), "extension ERR,1 is there twice"),
    "shape": ("flt", pixels(2, lambda a: a[:-1]), "ERR,1 has another shape than SCI,1 [shape]"),
    "dq shape": ("crj", pixels(6, lambda a: a[:, :-1]), "DQ,2 has another shape than SCI,2"),
    "weight shape": ("drz", pixels(2, lambda a: a[:-1]), "WHT,1 has another shape than SCI,1"),
    "too large": (
        "flt",
        both(*(pixels(k, lambda a: np.pad(a, ((0, 200), (0, 0)))) for k in (1, 2, 3))),
        "SCI,1 is larger than the raw frame [shape]",
    ),
    "switch": ("flt", card(0, "DARKCORR", "PERFORM"), "DARKCORR is still PERFORM [switches]"),
    "not combined": ("crj", card(0, "CRCORR", "OMIT"), "CRCORR = OMIT although it made this file"),
    "not drizzled": ("drz", card(0, "DRIZCORR", "PERFORM"), "DRIZCORR = PERFORM although"),
    "no unit": ("flt", card(1, "BUNIT", None), "SCI,1 has no BUNIT [units]"),
    "unit": ("flt", card(2, "BUNIT", "COUNTS"), "BUNIT of ERR,1 is not that of SCI (ELECTRONS)"),
    "units": (
        "flt",
        both(card(1, "BUNIT", "COUNTS"), card(2, "BUNIT", "COUNTS")),
        "BUNIT of SCI,1 is COUNTS, not ELECTRONS [units]",
    ),
    "rate": ("drz", card(1, "BUNIT", "ELECTRONS"), "is ELECTRONS, not ELECTRONS/S [units]"),
    "photflam": ("flt", card(1, "PHOTFLAM", None), "PHOTFLAM of SCI,1 is None [photometry]"),
    "photplam": ("crj", card(4, "PHOTPLAM", 0.0), "PHOTPLAM of SCI,2 is 0.0 [photometry]"),
    "crval": ("flt", card(1, "CRVAL1", None), "SCI,1: CRVAL1 absent or no number [wcs]"),
    "singular": ("flt", SINGULAR, "SCI,1: the CD matrix is singular"),
    "no wcs": ("drz", card(1, "CTYPE1", "PIXEL"), "SCI,1 has no celestial WCS [wcs]"),
    "other wcs": ("flt", card(3, "CRPIX1", 7.0), "DQ,1 has another WCS than SCI,1 [wcs]"),
    "other field": (
        "crj",
        both(*(card(k, "CRVAL2", -70.0) for k in (4, 5, 6))),
        "SCI,2 and SCI,1 are not parts of one field [wcs]",
    ),
    "target": ("drz", card(0, "DEC_TARG", 12.0), "CRVAL is 84.0"),
    "time": ("flt", card(0, "EXPTIME", 250.0), "EXPTIME = 250, the raw files give 300"),
    "sum of times": ("crj", card(0, "EXPTIME", 300.0), "EXPTIME = 300, the raw files give 600"),
    "no time": ("drz", card(0, "EXPTIME", -1.0), "EXPTIME = -1.0 is not a time [exposure time]"),
    "member": ("crj", without_names, f"{SECOND} is not named among its inputs [members]"),
    "member of drz": ("drz", without_names, f"{SECOND} is not named among its inputs [members]"),
    "nan": ("flt", pixels(1, spot(np.nan)), "SCI,1: 2 pixels are not finite [pixels]"),
    "inf in err": ("crj", pixels(2, spot(np.inf)), "ERR,1: 2 pixels are not finite [pixels]"),
    "err": ("flt", pixels(5, lambda a: a * 0), "ERR,2 is not positive in"),
    "zero": ("flt", pixels(1, lambda a: a * 0), "SCI,1: all good pixels are zero [pixels]"),
    "flagged": ("flt", pixels(6, lambda a: a | 4), "SCI,2: not one good pixel [pixels]"),
    "no weights": ("drz", pixels(2, lambda a: a * 0), "SCI,1: not one good pixel [pixels]"),
    "bad weights": ("drz", pixels(2, spot(-1.0)), "WHT,1: 2 weights are negative"),
    "weighted nan": ("drz", pixels(1, lambda a: a * np.nan), "pixels are not finite [pixels]"),
}  # fmt: skip


@pytest.mark.parametrize("suffix", ["flt", "crj", "drz"])
def test_good_products_have_no_fault(made: Path, tmp_path: Path, suffix: str) -> None:
    assert found(made, tmp_path, suffix, lambda hdus: None) == []


@pytest.mark.parametrize("case", BROKEN)
def test_each_broken_product_is_found(made: Path, tmp_path: Path, case: str) -> None:
    suffix, change, words = BROKEN[case]
    faults = found(made, tmp_path, suffix, change)
    assert any(words in fault for fault in faults), faults
    assert len({fault.rpartition("[")[2] for fault in faults}) == 1, faults


def test_checksums(made: Path, tmp_path: Path) -> None:
    source = made / FIRST / f"{FIRST}_flt.fits"
    content = bytearray(source.read_bytes())
    content[-4000] ^= 1
    path = tmp_path / source.name
    path.write_bytes(content)
    (fault,) = faults_of(open_product(path, "flt", FIRST, {}))
    assert fault.startswith("DATASUM of HDU 6 is")
    write(path, read(source)[:1] + [Hdu(h.header, h.raw) for h in read(source)[1:]])
    hdus = read(source)
    for hdu in hdus:
        hdu.header.remove("CHECKSUM", "DATASUM")
    write(path, hdus, checksum=False)
    faults = faults_of(open_product(path, "flt", FIRST, {}))
    assert faults[0] == "HDU 0 has no CHECKSUM [checksum]"


def spectrum(folder: Path, flux: Any) -> list[str]:
    header = {"TELESCOP": "HST", "INSTRUME": "COS", "DETECTOR": "FUV", "ROOTNAME": "lsimc1a1q",
              "FILENAME": "lsimc1a1q_x1d.fits", "DATE-OBS": "2010-01-01", "NEXTEND": 1}  # fmt: skip
    primary = image_hdu(read(folder / "any.fits")[0].header, None, primary=True)
    for key, value in header.items():
        primary.header.set(key, value)  # type: ignore[arg-type]
    columns = [Column("SEGMENT", "4A", ["FUVA"]), Column("FLUX", "4D", [flux])]
    path = folder / "lsimc1a1q_x1d.fits"
    write(path, [primary, table_hdu("SCI", columns)])
    return faults_of(open_product(path, "x1d", "lsimc1a1q", {}))


def test_spectra(tmp_path: Path) -> None:
    from calibration.fits import Header

    write(tmp_path / "any.fits", [image_hdu(Header(), None, primary=True)])
    assert spectrum(tmp_path, [1.0, 2.0, 0.0, 1.0]) == []
    assert spectrum(tmp_path, [0.0] * 4) == ["FLUX is zero everywhere [spectrum]"]
    assert spectrum(tmp_path, [np.nan] * 4)[0] == "FLUX is not finite everywhere [spectrum]"


def test_what_must_be_there(made: Path) -> None:
    for name, code in ((f"{ASN}_crj.fits", "run CRCOMB"), (f"{ASN}_drz.fits", "run MD")):
        path = made / ASN / name
        path.rename(made / "away")
        with pytest.raises(CalibrationError, match=code) as caught:
            run(made.parent, "AC", ASN)
        (made / "away").rename(path)
        assert caught.value.code == ExitCode.STEP_MISSING


def table(path: Path, rows: list[tuple[str, str, bool]]) -> None:
    names, types, present = zip(*rows, strict=True)
    header = read(path)[0].header
    header.set("ASN_PROD", False)
    columns = [Column("MEMNAME", "14A", names), Column("MEMTYPE", "14A", types),
               Column("MEMPRSNT", "L", present)]  # fmt: skip
    write(path, [image_hdu(header, None, primary=True), table_hdu("ASN", columns)])


@pytest.mark.parametrize(
    ("products", "present"),
    [
        ([("JSIM01010", "PROD-CR1")], [True]),
        ([("JSIM01011", "PROD-CRJ"), ("JSIM01010", "PROD-DTH")], [True, True]),
        ([("JSIM01011", "PROD-RP1"), ("JSIM01010", "PROD-DTH")], [True, True]),
        # Two of one type are told apart by their names alone.
        ([("JSIM01010", "PROD-CR1"), ("JSIM01021", "PROD-CR2")], [True, False]),
        ([("JSIM01012", "PROD-XYZ"), ("JSIM01010", "PROD-DTH")], [False, True]),
    ],
)
def test_association_table(
    made: Path, products: list[tuple[str, str]], present: list[bool]
) -> None:
    work = made / ASN / f"{ASN}_asn.fits"
    work.unlink(missing_ok=True)
    exposures = [(FIRST.upper(), "EXP-CR1", True), (SECOND.upper(), "EXP-CR1", True),
                 ("JSIM01ADQ", "EXP-CR1", False)]  # fmt: skip
    incoming = made.parent / "incoming" / work.name
    table(incoming, exposures + [(name, kind, False) for name, kind in products])
    for _ in range(2):
        run(made.parent, "AC", ASN)
        hdus = read(work)
        assert hdus[0].header.get("ASN_PROD") is True
        rows = [row["MEMPRSNT"] == "T" for row in read_table(hdus[1])]
        assert rows == [True, True, False, *present]


def test_all_faults_of_all_products_at_once(made: Path, tmp_path: Path) -> None:
    """Through the command: one line with a name that a program can act on."""
    site = Site(made.parent)
    kept = {}
    for name, change in ((FIRST, card(1, "BUNIT", None)), (SECOND, pixels(1, lambda a: a * 0))):
        path = made / name / f"{name}_flt.fits"
        kept[path] = path.read_bytes()
        hdus = read(path)
        change(hdus)
        write(path, hdus)
    site.fails("AC", ASN, ExitCode.CHECK_AFTER_FAILED, f"{FIRST}_flt.fits: SCI,1 has no BUNIT",
               f"{SECOND}_flt.fits: SCI,1: all good pixels are zero")  # fmt: skip
    for path, content in kept.items():
        path.write_bytes(content)
    assert json.loads(site.run("header", "--json", str(path)).stdout)["rootname"] == SECOND
    assert "products are consistent" in site.must("AC", ASN)
