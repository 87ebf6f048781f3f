"""Whether an image holds anything: an exit code of 0 alone proves nothing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from calibration.arrays.dq import ALL_FLAGS
from calibration.fits import Hdu
from calibration.fits.planes import ImageSet

_ROWS = 64


@dataclass
class _Count:
    """What was seen in the pixels of one chip."""

    not_finite: int = 0
    err_not_finite: int = 0
    good: int = 0
    not_zero: int = 0
    err_bad: int = 0
    negative_weight: int = 0


def pixel_faults(images: ImageSet, weight: Hdu | None) -> list[str]:
    """Return what is wrong with the pixels of one chip.

    Parameters
    ----------
    images
        SCI, ERR and DQ; of a drizzled product SCI alone.
    weight
        WHT of a drizzled product: pixels of no weight may be anything.
    """
    count = _Count()
    for start in range(0, images.sci.shape[0], _ROWS):
        _look(images, weight, slice(start, start + _ROWS), count)
    where, version = f"SCI,{images.version}", images.version
    faults = []
    if count.not_finite:
        faults.append(f"{where}: {count.not_finite} pixels are not finite")
    if count.err_not_finite:
        faults.append(f"ERR,{version}: {count.err_not_finite} pixels are not finite")
    if count.negative_weight:
        faults.append(f"WHT,{version}: {count.negative_weight} weights are negative or no number")
    if count.err_bad:
        faults.append(f"ERR,{version} is not positive in {count.err_bad} good pixels")
    if not count.good:
        faults.append(f"{where}: not one good pixel")
    elif not count.not_zero:
        faults.append(f"{where}: all good pixels are zero")
    return faults


def _look(images: ImageSet, weight: Hdu | None, rows: slice, count: _Count) -> None:
    sci = images.sci.rows(rows.start, rows.stop)
    good = np.isfinite(sci)
    if weight is not None:
        wht = weight.rows(rows.start, rows.stop)
        used = wht > 0
        # A number that is none compares as false to everything.
        count.negative_weight += int(wht.size - np.count_nonzero(wht >= 0))
        count.not_finite += int(np.count_nonzero(used & ~good))
        good &= used
    else:
        count.not_finite += int(good.size - np.count_nonzero(good))
    if images.dq is not None and images.dq.shape:
        serious = images.sci.header.integer("SDQFLAGS", ALL_FLAGS)
        good &= (images.dq.rows(rows.start, rows.stop) & serious) == 0
    if images.err is not None and images.err.shape:
        err = images.err.rows(rows.start, rows.stop)
        finite = np.isfinite(err)
        count.err_not_finite += int(finite.size - np.count_nonzero(finite))
        count.err_bad += int(np.count_nonzero(good & finite & ~(err > 0)))
    count.good += int(np.count_nonzero(good))
    count.not_zero += int(np.count_nonzero(good & (sci != 0)))
