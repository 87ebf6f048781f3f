"""From where to where charge moves: a quadrant as its amplifier sees it."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

#: Amplifiers in the order of PCTETAB's columns; C and D at the bottom of their chip, A and B at
#: the top of theirs, A and C at the left.
AMPLIFIERS = "CDAB"
_AT_TOP, _AT_RIGHT = "AB", "BD"


def as_read(quadrant: NDArray[Any], amp: str) -> NDArray[Any]:
    """Return a view whose row 0 is next to the serial register, and column 0 to the amplifier.

    Doing it twice gives the quadrant back.
    """
    return quadrant[:: -1 if amp in _AT_TOP else 1, :: -1 if amp in _AT_RIGHT else 1]


def as_shifted(quadrant: NDArray[Any]) -> NDArray[Any]:
    """Return a view of a quadrant `as_read` whose rows are along the serial register.

    Row 0 is the detector column next to the amplifier, and column 0 the detector row farthest from
    the register: so are the columns of the serial sets of PCTETAB counted.
    """
    return quadrant.T[:, ::-1]
