"""Bit for bit against calacs 10.5: single exposures, CR-split pairs, two chips and four amplifiers.

The expected sums are those of calacs's own files (``calacs_stats.json`` of the oracle).
"""

from __future__ import annotations

import gzip
import hashlib
import json
import shutil
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from calibration.cli import NODES
from calibration.context import Context


def unpack(source: Path, target: Path) -> None:
    if source.suffix == ".gz":
        with gzip.open(source) as stream, (target / source.stem).open("wb") as out:
            shutil.copyfileobj(stream, out)
    else:
        shutil.copyfile(source, target / source.name)


@pytest.fixture(scope="module")
def hrc(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return site(shared_data / "oracle/hrc_47tuc", tmp_path_factory.mktemp("hrc"))


def site(oracle: Path, root: Path) -> Path:
    for name in ("incoming", "references", "work", "archive"):
        (root / name).mkdir()
    for path in (oracle / "raw").glob("*.fits*"):
        unpack(path, root / "incoming")
    for path in (oracle / "ref").glob("*.fits*"):
        unpack(path, root / "references")
    return root


def run(root: Path, dataset: str, *nodes: str) -> Path:
    folders = [root / n for n in ("incoming", "work", "archive", "references")]
    for node in nodes:
        import_module(NODES[node]).run(Context(node, dataset, *folders))
    return root / "work" / dataset


def agrees(product: Path, expected: dict[str, dict[str, object]]) -> None:
    """Compare each extension's sha256, and the photometry, with calacs's."""
    with fits.open(product, checksum=True) as hdus:
        for name, entry in expected.items():
            extension, version = name.split(",")
            hdu = hdus[extension, int(version)]
            found = hashlib.sha256(hdu.data.tobytes()).hexdigest()
            assert found == entry["sha256_bigendian"], (product.name, name)
            facts: dict[str, object] = entry.get("header", {})  # type: ignore[assignment]
            for key in ("PHOTFLAM", "PHOTPLAM", "PHOTBW", "MEANDARK", "MEANBLEV", "GOODMEAN"):
                if key in facts and product.name.endswith("_flt.fits"):
                    assert hdu.header[key] == pytest.approx(facts[key], rel=2e-6), key
            for key in ("PHOTMODE", "NGOODPIX", "BUNIT"):
                if key in facts:
                    assert hdu.header[key] == facts[key], key


def stats(shared_data: Path, oracle: str) -> dict[str, dict[str, dict[str, dict[str, object]]]]:
    path = shared_data / "oracle" / oracle / "calacs_stats.json"
    return dict(json.loads(path.read_text()))


@pytest.mark.parametrize("dataset", ["j8bt05njq", "j8bt06o6q", "j8bt05drf", "j8bt05bpx"])
def test_single_exposures(hrc: Path, shared_data: Path, dataset: str) -> None:
    folder = run(hrc, dataset, "2FITS", "RF", "BC", "CA")
    expected = stats(shared_data, "hrc_47tuc")[f"{dataset}_flt"]["ext"]
    agrees(folder / f"{dataset}_flt.fits", expected)


@pytest.mark.parametrize("pair", ["jsim01", "jmed01", "jreal01"])
def test_cosmic_ray_pairs(hrc: Path, shared_data: Path, pair: str) -> None:
    for member in ("aq", "bq"):
        run(hrc, f"{pair}{member}", "2FITS", "RF", "BC", "CA")
    folder = run(hrc, f"{pair}010", "CRCOMB")
    known = stats(shared_data, "hrc_47tuc")
    agrees(folder / f"{pair}010_crj.fits", known[f"{pair}011_crj"]["ext"])
    header = fits.getheader(folder / f"{pair}010_crj.fits")
    for key in ("REJ_RATE", "SKYSUM", "CRSIGMAS", "DARKTIME"):
        if key in known[f"{pair}011_crj"]["primary"]:
            value = known[f"{pair}011_crj"]["primary"][key]
            assert header[key] == pytest.approx(value, rel=1e-6) if key != "CRSIGMAS" else value
    for member in ("aq", "bq"):
        name = f"{pair}{member}"
        flags = fits.getdata(hrc / "work" / name / f"{name}_flt.fits", "DQ")
        theirs = fits.getdata(shared_data / f"oracle/hrc_47tuc/out/{name}_flt_dq.fits.gz")
        np.testing.assert_array_equal(flags, theirs)


def test_two_chips_four_amplifiers(
    shared_data: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    root = site(shared_data / "oracle/wfc_two_chip", tmp_path_factory.mktemp("wfc"))
    folder = run(root, "jwfc01abq", "2FITS", "RF", "BC", "CA")
    expected = stats(shared_data, "wfc_two_chip")["jwfc01abq_flt"]["ext"]
    agrees(folder / "jwfc01abq_flt.fits", expected)
    shutil.rmtree(root)
