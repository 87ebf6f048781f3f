"""AC: are the products what they claim to be? An exit code of 0 alone proves nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from calibration.context import RAW_SUFFIXES, Context, step
from calibration.exit_codes import CalibrationError, ExitCode
from calibration.fits import read
from calibration.instruments import detector_of, is_performed
from calibration.nodes.association import (
    exposure_sets,
    members_of,
    sub_products,
    update_table,
)
from calibration.nodes.product_checks import faults_of, open_product
from calibration.suffixes import CHECKED, COMBINED, DRIZZLED, SPECTRA

#: Whose associations the workflows combine by CRCOMB.
_SPLIT = frozenset({"ACS", "WFC3"})


def run(context: Context) -> None:
    """Check every product of the dataset and its members; name all faults at once."""
    members = members_of(context)
    _require(context, members)
    faults, count = [], 0
    parts = {group.product: group.members for group in exposure_sets(context)}
    for path, suffix, dataset in _products(context, members):
        of = members if dataset == context.dataset else parts.get(dataset, members)
        raws = _raws(context, of if suffix in COMBINED else (dataset,))
        count += 1
        product = open_product(path, suffix, dataset, raws)
        if dataset == context.dataset:
            own = {name: names for name, names in parts.items() if name != dataset}
            product.sums.update({m: name for name, names in own.items() for m in names})
        faults += [f"{path.name}: {fault}" for fault in faults_of(product)]
    if faults:
        raise CalibrationError(
            ExitCode.CHECK_AFTER_FAILED, f"{'; '.join(faults)}; run CA again from a good raw file"
        )
    if members != (context.dataset,):
        update_table(context, members)
    step(f"AC {count} products are consistent")


def _products(context: Context, members: tuple[str, ...]) -> Iterator[tuple[Path, str, str]]:
    for name in dict.fromkeys((*members, *sub_products(context), context.dataset)):
        for suffix in CHECKED:
            path = context.product(suffix, name)
            if path.is_file():
                yield path, suffix, name


def _raws(context: Context, members: tuple[str, ...]) -> dict[str, Path]:
    """Return the raw files of exposures, as far as they are in the work area."""
    found = {}
    for name in members:
        paths = (context.product(suffix, name) for suffix in RAW_SUFFIXES)
        path = next((path for path in paths if path.is_file()), None)
        if path is not None:
            found[name] = path
    return found


def _is_corrected(context: Context, name: str) -> bool:
    """Whether CA's trailer says that PCTECORR was done (the ``_flt`` says OMIT, as calacs's)."""
    note = context.work / name / f"{name}.tra"
    return note.is_file() and "PCTECORR COMPLETE" in note.read_text().splitlines()


def _require(context: Context, members: tuple[str, ...]) -> None:
    """Raise STEP_MISSING for a product that must be there and is not."""
    split: dict[str, bool] = {}
    for name in members:
        if any(context.product(suffix, name).is_file() for suffix in SPECTRA):
            continue
        path = context.needs("flt", "CA", name)
        primary = read(path, headers_only=True)[0].header
        if _is_corrected(context, name):
            context.needs("flc", "CA", name)
        detector = detector_of(primary, path.name)
        split[name] = detector.instrument in _SPLIT and is_performed(primary, "CRCORR")
    for group in exposure_sets(context) if members != (context.dataset,) else ():
        made = any(context.product(s, group.product).is_file() for s in ("crj", "crc"))
        if not made and any(split.get(name) for name in group.members):
            context.needs("crj", "CRCOMB", group.product)
    if split and detector.drizzled and context.first_of(DRIZZLED) is None:
        context.needs("drz", "MD")
