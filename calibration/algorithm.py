"""The one setting that says whether STScI's slips are reproduced or corrected."""

from __future__ import annotations

from enum import StrEnum

from calibration.fits import Header

#: Keyword of every product; products of before this setting have none and are calacs's.
KEYWORD = "OWLALGO"


class Algorithm(StrEnum):
    """Whose numbers a product has.

    CALACS reproduces STScI's programs to the bit, known slips included. CORRECTED differs from it
    in exactly the slips that docs/calibration.md lists.
    """

    CALACS = "calacs"
    CORRECTED = "corrected"

    @property
    def corrects(self) -> bool:
        """Whether the slips are corrected."""
        return self is Algorithm.CORRECTED


def algorithm_of(header: Header) -> str:
    """Return the algorithm of a product's primary header."""
    return header.text(KEYWORD) or str(Algorithm.CALACS)


def record_algorithm(header: Header, algorithm: Algorithm) -> None:
    """Write the setting into a product's primary header."""
    header.set(KEYWORD, str(algorithm), "calacs, or its known slips corrected")
