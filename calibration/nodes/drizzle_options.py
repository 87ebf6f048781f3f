"""MD's parameters, as ``--option KEY=VALUE`` gives them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from calibration.arrays.drizzling import KERNELS
from calibration.exit_codes import CalibrationError, ExitCode

#: Flags that do not keep a pixel out: hot (the dark took it away), warm, full well, A-to-D.
TOLERATED = 16 | 64 | 256 | 2048


@dataclass(frozen=True)
class Settings:
    """How to drizzle.

    Parameters
    ----------
    kernel, pixfrac
        Of the product; see `calibration.arrays.drizzling`.
    scale
        Arc seconds per pixel of the product; 0 is the detector's own.
    weight
        ``exptime``, or ``error`` (inverse variance).
    bits
        DQ flags that do not keep a pixel out.
    sky, rays
        Whether the sky is subtracted, and cosmic rays are looked for across exposures.
    """

    kernel: str = "square"
    pixfrac: float = 1.0
    scale: float = 0.0
    weight: str = "exptime"
    bits: int = TOLERATED
    sky: bool = True
    rays: bool = True


_WORDS = {"kernel": KERNELS, "weight": ("exptime", "error")}
_NUMBERS = {"pixfrac": (0.01, 1.0), "scale": (0.001, 10.0)}


def settings_of(options: Mapping[str, str]) -> Settings:
    """Return the settings; USAGE_ERROR naming the option that is not valid."""
    values: dict[str, object] = {}
    for key, text in options.items():
        try:
            values[key] = _value(key, text.strip())
        except ValueError as error:
            raise CalibrationError(
                ExitCode.USAGE_ERROR, f"--option {key}={text}: {error}; correct the workflow"
            ) from None
    return Settings(**values)  # type: ignore[arg-type]


def _value(key: str, text: str) -> object:
    if key in _WORDS:
        if text not in _WORDS[key]:
            raise ValueError(f"it must be one of {', '.join(_WORDS[key])}")
        return text
    if key in _NUMBERS:
        least, most = _NUMBERS[key]
        number = float(text)
        if not least <= number <= most:
            raise ValueError(f"it must be between {least:g} and {most:g}")
        return number
    if key == "bits":
        return int(text)
    if key in ("sky", "rays"):
        if text not in ("yes", "no"):
            raise ValueError("it must be yes or no")
        return text == "yes"
    raise ValueError("MD has kernel, pixfrac, scale, weight, bits, sky, rays")
