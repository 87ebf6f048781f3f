"""What reading out a CCD with charge traps does to an image.

Packet by packet and trap by trap, the model takes rows x traps x columns steps. Here each column
keeps, in place of its traps, the few *bands* of traps that were last filled by the same packet:
behind a bright packet all traps up to its level are one band, and a fainter packet cuts the lower
part off. What a band gives at age n is the difference of two entries of a table summed over traps
(`Traps.released`), so that the cost does not depend on the number of traps. The result is that of
the plain loops up to rounding; `tests/unit/test_calibration_cte.py` has those.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from calibration.arrays.cte_traps import Floats, Indices, Traps

_LEAST = 1e-12


@dataclass
class _Bands:
    """Filled traps of all columns: their column, their upper and lower address, their density.

    Addresses are those of `Traps.released`; the low bits are the age, which is the same in both.
    Bands are in the order of their birth.
    """

    column: Indices
    upper: Indices
    lower: Indices
    density: Floats


def read_out(charge: Floats, density: Floats, traps: Traps) -> Floats:
    """Return what is measured when an image is read out.

    Parameters
    ----------
    charge
        Electrons, (rows, columns); row 0 is read first.
    density
        Density of traps at each pixel, the same shape: `cte_traps.density`.
    traps
        The traps. A packet fills every trap whose level it reaches with what released from the
        higher traps into it.
    """
    out = np.array(charge, dtype=np.float64)
    dense = np.maximum(density, _LEAST)
    kept = _kept(dense)
    for _ in range(traps.shifts):
        _shift(out, dense, kept, traps)
    return out


def _kept(density: Floats) -> Floats | None:
    """Return which share of trapped charge is left where the density falls; None: it never does.

    In calacs charge in traps shrinks with the density of traps from row to row, and never grows.
    """
    if not (density[1:] < density[:-1]).any():
        return None
    out = np.ones(density.shape)
    np.divide(density[1:], density[:-1], out=out[1:], dtype=np.float64)
    np.cumprod(np.minimum(out, 1.0, out=out), axis=0, out=out)
    return np.maximum(out, _LEAST)


def _shift(charge: Floats, density: Floats, kept: Floats | None, traps: Traps) -> None:
    """Do one step of the transfers of all packets, in place."""
    width = charge.shape[1]
    empty: Any = np.empty(0, np.intp)
    bands = _Bands(empty, empty, empty, np.empty(0))
    released, refilled = traps.released, traps.refilled
    for row in range(charge.shape[0]):
        packet = charge[row]  # a view: changed in place
        share = None if kept is None else kept[row]
        if bands.column.size:
            bands.upper += 1
            bands.lower += 1
            given = bands.density * (released.take(bands.upper) - released.take(bands.lower))
            gain = np.bincount(bands.column, given, width)
            touched, filled, cut = _fill(packet, gain, share, bands, traps)
            extra = refilled.take(cut) - refilled.take(bands.lower.take(touched))
            column = bands.column.take(touched)
            gain += np.bincount(column, extra * bands.density.take(touched), width)
            if share is not None:
                gain *= share
            bands.lower[touched] = cut
            packet += gain
        else:
            filled = traps.reached(packet)
        dense = density[row]
        packet -= traps.filled.take(filled) * dense
        bands = _next(bands, filled, dense if share is None else dense / share, traps)


def _fill(
    packet: Floats, gain: Floats, share: Floats | None, bands: _Bands, traps: Traps
) -> tuple[Indices, Indices, Indices]:
    """Find how many traps each packet fills.

    The trap with k others below it is filled if the packet, with what the traps above it release,
    reaches its level. That number lies between what the packet reaches alone and with everything.

    Returns
    -------
    Index of the bands that are cut, traps filled per column, and the address at which each of
    these bands is cut.
    """
    bits, width = traps.bits, packet.size
    least = traps.reached(packet)
    most = traps.reached(packet + (gain if share is None else gain * share))
    touched = np.flatnonzero(bands.lower < (most << bits).take(bands.column))
    column, lower = bands.column.take(touched), bands.lower.take(touched)
    upper, density = bands.upper.take(touched), bands.density.take(touched)
    age = lower & ((1 << bits) - 1)
    low = traps.released.take(lower)

    def cut_at(filled: Indices) -> Indices:
        return np.maximum(np.minimum((filled << bits).take(column) + age, upper), lower)

    def with_release(filled: Indices) -> Floats:
        below = (traps.released.take(cut_at(filled)) - low) * density
        above = gain - np.bincount(column, below, width)
        return packet + (above if share is None else above * share)

    guess = least
    most = np.minimum(most, traps.reached(with_release(guess)))
    while (least < most).any():
        guess = most
        total = with_release(guess)
        fills = total >= traps.level.take(np.maximum(guess, 1) - 1)
        settled = fills | (guess == least)
        least = np.where(settled, guess, np.maximum(least, np.minimum(traps.reached(total), guess)))
        most = np.where(settled, guess, np.maximum(guess - 1, least))
    return touched, least, cut_at(least)


def _next(bands: _Bands, filled: Indices, density: Floats, traps: Traps) -> _Bands:
    """Return the bands that are left, and the new ones."""
    alive = bands.lower < bands.upper
    # Bands are in the order of birth: those that have released everything come first.
    oldest = bands.lower[: filled.size] & ((1 << traps.bits) - 1)
    alive[: int(np.count_nonzero(oldest >= traps.length))] = False
    left = np.flatnonzero(alive)
    new = np.flatnonzero(filled)
    return _Bands(
        np.concatenate((bands.column.take(left), new)),
        np.concatenate((bands.upper.take(left), filled.take(new) << traps.bits)),
        np.concatenate((bands.lower.take(left), np.zeros_like(new))),
        np.concatenate((bands.density.take(left), density.take(new))),
    )
