"""AC: are the products what they claim to be? An exit code of 0 alone proves nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from calibration.context import Context, step
from calibration.exit_codes import CalibrationError, ExitCode
from calibration.fits import Hdu, read
from calibration.fits.files import checksum_faults
from calibration.fits.planes import ImageSet, image_sets
from calibration.instruments import detector_of
from calibration.nodes.association import members_of


def run(context: Context) -> None:
    """Check every product of the dataset and its members; name all faults at once."""
    members = members_of(context)
    paths = list(_products(context, members))
    faults = []
    for path in paths:
        faults += [f"{path.name}: {fault}" for fault in product_faults(path)]
    if faults:
        raise CalibrationError(
            ExitCode.CHECK_AFTER_FAILED, f"{'; '.join(faults)}; run CA again from a good raw file"
        )
    if members != (context.dataset,):
        from calibration.nodes.combine import update_table

        update_table(context)
    step(f"AC {len(paths)} products are consistent")


def _products(context: Context, members: tuple[str, ...]) -> Iterator[Path]:
    for member in members:
        spectrum = context.product("qlx", member)
        yield spectrum if spectrum.is_file() else context.needs("flt", "CA", member)
        if _must_be_corrected(context, member):
            yield context.needs("flc", "CA", member)
    for suffix in ("crj", "crc", "drz"):
        path = context.product(suffix)
        if path.is_file():
            yield path
        elif suffix == "drz" and _must_be_drizzled(context, members):
            context.needs("drz", "MD")


def _must_be_corrected(context: Context, member: str) -> bool:
    """Whether CA says of an exposure that it has a CTE-corrected product."""
    note = context.work / member / f"{member}.tra"
    corrected = context.product("flc", member).is_file()
    return corrected or (note.is_file() and "PCTECORR COMPLETE" in note.read_text().splitlines())


def _must_be_drizzled(context: Context, members: tuple[str, ...]) -> bool:
    path = context.product("flt", members[0])
    if not path.is_file():
        return False
    return detector_of(read(path, headers_only=True)[0].header, path.name).drizzled


def product_faults(path: Path) -> list[str]:
    """Return what is wrong with one product."""
    hdus = read(path)
    primary = hdus[0].header
    faults = checksum_faults(hdus)
    if primary.text("FILENAME") != path.name:
        faults.append(f"FILENAME = {primary.text('FILENAME')!r}")
    if primary.integer("NEXTEND", len(hdus) - 1) != len(hdus) - 1:
        faults.append(f"NEXTEND = {primary.get('NEXTEND')} but there are {len(hdus) - 1}")
    if path.name.endswith("_qlx.fits"):
        return faults + _spectrum_faults(hdus)
    faults += [
        f"{key} is still PERFORM"
        for key in (
            "DQICORR",
            "BIASCORR",
            "BLEVCORR",
            "DARKCORR",
            "FLATCORR",
            "PHOTCORR",
            "PCTECORR",
        )
        if primary.text(key).upper() == "PERFORM"
    ]
    drizzled = path.name.endswith("_drz.fits")
    for images in image_sets(hdus, path.name):
        weight = next((h for h in hdus if h.name == "WHT"), None) if drizzled else None
        faults += _image_faults(images, weight)
    return faults


def _image_faults(images: ImageSet, weight: Hdu | None) -> list[str]:
    where = f"SCI,{images.version}"
    sci = images.sci.stored()
    used = np.isfinite(sci)
    faults = []
    if not images.sci.header.text("BUNIT"):
        faults.append(f"{where} has no BUNIT")
    if weight is not None:
        used &= weight.stored() > 0
    elif not used.all():
        faults.append(f"{where}: {int((~used).sum())} pixels are not finite")
    if images.dq is not None:
        if images.dq.shape != sci.shape:
            return [*faults, f"DQ,{images.version} has another shape than {where}"]
        used &= (images.dq.stored() & images.sci.header.integer("SDQFLAGS", 31743)) == 0
    if images.err is not None:
        if images.err.shape != sci.shape:
            return [*faults, f"ERR,{images.version} has another shape than {where}"]
        err = images.err.stored()[used]
        if err.size and not float(err.min()) > 0:
            faults.append(f"ERR,{images.version} is not positive in good pixels")
    if not used.any():
        faults.append(f"{where}: not one good pixel")
    elif not sci[used].any():
        faults.append(f"{where}: all good pixels are zero")
    return faults


def _spectrum_faults(hdus: list[Hdu]) -> list[str]:
    from calibration.fits.tables import read_columns

    table = next((h for h in hdus if h.name == "SPECTRUM"), None)
    if table is None:
        return ["extension SPECTRUM is absent"]
    counts = read_columns(table)["GROSS"]
    return [] if counts.sum() > 0 else ["the spectrum holds no event"]
