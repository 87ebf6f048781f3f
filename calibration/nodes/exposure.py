"""From a raw file and its references to chips that the kernel can calibrate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from calibration.arrays.chip import Image
from calibration.context import Context, step
from calibration.exit_codes import CalibrationError, ExitCode
from calibration.fits import Hdu, Header, read_table
from calibration.fits.planes import ImageSet, image_sets, plane
from calibration.instruments import Detector, is_performed
from calibration.instruments.geometry import (
    Gap,
    Geometry,
    window,
)
from calibration.nodes.best_references import open_reference

#: EXPSTART from which WFC has the electronics of the repair of May 2009 (calacs's SM4MJD).
REPAIR = 54962.0

#: Steps that calacs or calwf3 have and this version has not: switched on, they are skipped aloud.
NOT_DONE = ("ATODCORR", "FLSHCORR", "SHADCORR", "PCTECORR", "SINKCORR", "GLINCORR", "FLUXCORR")
_KNOWN = {
    "electrons": {"FLSHCORR", "SINKCORR", "PCTECORR"},
    "dn": {"ATODCORR", "FLSHCORR", "FLUXCORR"},
    "counts": {"ATODCORR", "SHADCORR"},
}


class Row(dict[str, Any]):
    """A table row that names its file when a column is absent."""

    def __init__(self, values: dict[str, Any], where: str) -> None:
        super().__init__(values)
        self.where = where

    def __missing__(self, column: str) -> Any:
        raise CalibrationError(
            ExitCode.REFERENCE_BAD,
            f"{self.where} has no column {column}; choose another file",
        )


@dataclass
class Reference:
    """An open reference file."""

    keyword: str
    name: str
    hdus: list[Hdu]

    @property
    def pedigree(self) -> str:
        """PEDIGREE of the primary header."""
        return self.hdus[0].header.text("PEDIGREE")

    @property
    def is_dummy(self) -> bool:
        """Whether this file says that its step must be skipped."""
        return self.pedigree.upper().startswith("DUMMY")

    def rows(self, extension: int = 1) -> list[dict[str, Any]]:
        """Return a table's rows; REFERENCE_BAD when the file is no such table."""
        try:
            where = f"{self.keyword} {self.name}"
            return [Row(row, where) for row in read_table(self.hdus[extension])]
        except (IndexError, ValueError, KeyError) as error:
            raise CalibrationError(
                ExitCode.REFERENCE_BAD, f"{self.keyword} {self.name}: not a table ({error!r})"
            ) from error

    def history(self) -> list[str]:
        """Return the HISTORY lines that calacs writes about a reference."""
        header = self.hdus[0].header
        kind = "table" if self.keyword.endswith("TAB") else "image"
        lines = [f"  reference {kind} {self.name}", f"    {self.pedigree}"]
        if header.text("DESCRIP"):
            lines.append(f"    {header.text('DESCRIP')}")
        return lines


@dataclass
class Exposure:
    """A raw exposure with its open references and what is to be said about the work."""

    context: Context
    file: str
    primary: Header
    sets: list[ImageSet]
    detector: Detector
    references: dict[str, Reference] = field(default_factory=dict)
    states: dict[str, str] = field(default_factory=dict)
    history: list[str] = field(default_factory=list)
    overhead: float = 0.0
    atod_gain: float = 1.0

    @property
    def dark_time(self) -> float:
        """DARKTIME (older headers have none, then EXPTIME) and the overhead of the read-out."""
        known = self.primary.real("DARKTIME", self.exposure_time)
        return float(np.float32(known) + np.float32(self.overhead))

    @property
    def is_after_repair(self) -> bool:
        """Whether this WFC exposure was read by the electronics of the 2009 repair."""
        return self.detector.name == "WFC" and self.primary.real("EXPSTART", 0.0) >= REPAIR

    @property
    def is_subarray(self) -> bool:
        """Whether only a part of the detector was read (SUBARRAY)."""
        return self.primary.get("SUBARRAY") in (True, "T")

    @property
    def exposure_time(self) -> float:
        """EXPTIME (STIS: TEXPTIME)."""
        return self.primary.real("EXPTIME", self.primary.get("TEXPTIME", 0.0))

    def release(self) -> None:
        """Give the mapped pages of the raw file and the references back."""
        for images in self.sets:
            images.sci.release()
        for reference in self.references.values():
            reference.hdus[-1].release()

    def done(self, switch: str, *lines: str) -> None:
        """Note that a step is complete."""
        self.states[switch] = "COMPLETE"
        self.history += [f"{switch} complete ...", *lines]
        step(f"CA {switch} complete")

    def skipped(self, switch: str, why: str) -> None:
        """Note that a step that was switched on is not done, and why: once."""
        self.states[switch] = "SKIPPED"
        line = f"{switch} skipped: {why}"
        if line not in self.history:
            self.note(line)

    def note(self, line: str) -> None:
        """Say a line in HISTORY, trailer and standard output."""
        self.history.append(line)
        step(f"CA {line}")

    def usable(self, switch: str, keyword: str) -> Reference | None:
        """Return the reference of a step that is switched on; None skips the step."""
        reference = self.references.get(keyword)
        if not is_performed(self.primary, switch) or reference is None:
            return None
        if reference.is_dummy:
            self.skipped(switch, f"PEDIGREE of {reference.name} is DUMMY")
            return None
        return reference


def open_exposure(context: Context, file: str, hdus: list[Hdu], detector: Detector) -> Exposure:
    """Open all references that the header's switches need."""
    primary = hdus[0].header
    exposure = Exposure(context, file, primary, image_sets(hdus, file), detector)
    for images in exposure.sets:
        if len(images.sci.shape) != 2 or 0 in images.sci.shape:
            raise CalibrationError(
                ExitCode.INPUT_CORRUPT,
                f"{file}: SCI,{images.version} is no image (shape {images.sci.shape}); deliver it "
                "again",
            )
    for keyword, switch in detector.references:
        if is_performed(primary, switch):
            opened = open_reference(context, primary, keyword)
            if opened is not None:
                exposure.references[keyword] = Reference(keyword, *opened)
            elif keyword not in detector.optional:
                raise CalibrationError(
                    ExitCode.REFERENCE_MISSING,
                    f"{file}: {keyword} names no file but it is needed; run RF first",
                )
    for switch in NOT_DONE:
        if switch in _KNOWN.get(detector.order, ()):
            continue
        if primary.text(switch).upper() == "PERFORM":
            exposure.skipped(switch, "not in this version of OWL's calibration")
    return exposure


def reference_image(
    reference: Reference | None,
    images: ImageSet,
    shape: tuple[int, int],
    *,
    trim: tuple[int, int] = (0, 0),
    gap: Gap | None = None,
) -> Image | None:
    """Return a reference's image of an exposure's chip, cut for subarrays.

    Parameters
    ----------
    reference
        None gives None.
    images
        The exposure: its chip and its place on the detector (LTV, LTM).
    shape, trim, gap
        As :func:`calibration.instruments.geometry.window` wants them.

    Raises
    ------
    CalibrationError
        REFERENCE_BAD when there is no image of this chip, or the exposure does not lie inside.
    """
    if reference is None:
        return None
    sets = image_sets(reference.hdus, reference.name)
    alone = sets[0] if len(sets) == 1 else None
    chosen = alone or next((s for s in sets if s.chip == images.chip), None)
    if chosen is None:
        raise CalibrationError(
            ExitCode.REFERENCE_BAD,
            f"{reference.keyword} {reference.name} has no image of CCDCHIP {images.chip}",
        )
    found: Any = chosen.sci.shape or shape
    place = window(images.sci.header, shape, chosen.sci.header, found, trim=trim, gap=gap)
    if place is None:
        raise CalibrationError(
            ExitCode.REFERENCE_BAD,
            f"{reference.keyword} {reference.name} has {found[1]} x {found[0]} pixels, "
            f"the exposure needs {shape[1]} x {shape[0]} at LTV1, LTV2 = "
            f"{images.sci.header.real('LTV1', 0.0):g}, {images.sci.header.real('LTV2', 0.0):g}; "
            "choose another file",
        )
    return place.cut(Image(*(plane(h, found) for h in (chosen.sci, chosen.err, chosen.dq))))


def shift_header(header: Header, where: Geometry) -> Header:
    """Return an extension's header for the trimmed frame: WCS and sizes moved."""
    out = header.copy()
    out.remove("NPIX1", "NPIX2", "PIXVALUE", "DATAMIN", "DATAMAX", "BSCALE", "BZERO")
    for axis, trim, size in ((1, where.trim_x, where.shape[1]), (2, where.trim_y, where.shape[0])):
        if f"CRPIX{axis}" in out:
            out.set(f"CRPIX{axis}", out.real(f"CRPIX{axis}") - trim)
        out.set(f"LTV{axis}", out.real(f"LTV{axis}", 0.0) - trim)
        if f"SIZAXIS{axis}" in out:
            out.set(f"SIZAXIS{axis}", size)
    return out


def header_float(value: float) -> Any:
    """Return a number as the single-precision value that HST headers hold."""
    return np.float32(value)


def set_statistics(header: Header, values: dict[str, float], keys: Sequence[str]) -> None:
    """Write statistics into an extension's header: those that are numbers FITS can hold."""
    for key in keys:
        if key in values and np.isfinite(np.float32(values[key])):
            value = values[key]
            header.set(key, value if isinstance(value, int) else header_float(value))
