"""From a raw file and its references to chips that the kernel can calibrate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from calibration.arrays.chip import Chip, Image
from calibration.arrays.dq import PLACE_HOLDER, BadPixels, flag_bad_pixels
from calibration.context import Context, step
from calibration.exit_codes import CalibrationError, ExitCode
from calibration.fits import Hdu, Header, read_table
from calibration.fits.planes import ImageSet, image_sets, plane
from calibration.instruments import Detector, is_performed
from calibration.instruments.geometry import Geometry, ccd_row, layout, overscan_row
from calibration.nodes.best_references import open_reference

#: Steps that calacs or calwf3 have and this version has not: switched on, they are skipped aloud.
NOT_DONE = ("ATODCORR", "FLSHCORR", "SHADCORR", "SINKCORR", "GLINCORR", "FLUXCORR")


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

    @property
    def dark_time(self) -> float:
        """DARKTIME; older headers have none, then EXPTIME."""
        return self.primary.real("DARKTIME", self.exposure_time)

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

    def usable(self, switch: str, keyword: str) -> Reference | None:
        """Return the reference of a step that is switched on; None skips the step."""
        reference = self.references.get(keyword)
        if not is_performed(self.primary, switch) or reference is None:
            return None
        if reference.is_dummy:
            self.states[switch] = "SKIPPED"
            self.history.append(f"{switch} skipped: PEDIGREE of {reference.name} is DUMMY")
            step(f"CA {switch} skipped: dummy reference")
            return None
        return reference


def open_exposure(context: Context, file: str, hdus: list[Hdu], detector: Detector) -> Exposure:
    """Open all references that the header's switches need."""
    primary = hdus[0].header
    exposure = Exposure(context, file, primary, image_sets(hdus, file), detector)
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
        if primary.text(switch).upper() == "PERFORM":
            exposure.states[switch] = "SKIPPED"
            exposure.history.append(f"{switch} skipped: not in this version of OWL's calibration")
            step(f"CA {switch} skipped: not in this version")
    return exposure


def reference_image(reference: Reference | None, chip: int, shape: tuple[int, int]) -> Image | None:
    """Return the image of one chip; REFERENCE_BAD when its shape does not fit."""
    if reference is None:
        return None
    sets = image_sets(reference.hdus, reference.name)
    chosen = sets[0] if len(sets) == 1 else next((s for s in sets if s.chip == chip), None)
    if chosen is None:
        raise CalibrationError(
            ExitCode.REFERENCE_BAD,
            f"{reference.keyword} {reference.name} has no image of CCDCHIP {chip}",
        )
    sci = plane(chosen.sci, shape)
    if sci.shape != shape:
        raise CalibrationError(
            ExitCode.REFERENCE_BAD,
            f"{reference.keyword} {reference.name} has {sci.shape[1]} x {sci.shape[0]} pixels, "
            f"the exposure needs {shape[1]} x {shape[0]}; choose another file",
        )
    return Image(sci, plane(chosen.err, shape), plane(chosen.dq, shape))


def _data_quality(exposure: Exposure, images: ImageSet) -> np.ndarray[Any, Any]:
    dq = np.array(plane(images.dq, images.sci.shape)).astype(np.int16)
    table = exposure.usable("DQICORR", "BPIXTAB")
    if table is None:
        return dq
    header = images.sci.header
    ltv = header.integer("LTV1", 0.0), header.integer("LTV2", 0.0)
    amp = exposure.primary.text("CCDAMP").upper()
    gain = exposure.primary.real("CCDGAIN", 0)
    runs = [
        BadPixels(int(r["PIX1"]), int(r["PIX2"]), int(r["LENGTH"]), int(r["AXIS"]), int(r["VALUE"]))
        for r in table.rows()
        if str(r.get("CCDAMP", "N/A")).strip().upper() in (amp, "N/A")
        and float(r.get("CCDGAIN", -999)) in (gain, -999.0)
        and int(r.get("CCDCHIP", -999)) in (images.chip, -999)
    ]
    if flag_bad_pixels(dq, runs, ltv) == 0:
        dq[0, 0] |= PLACE_HOLDER
        step(f"CA no row of {table.name} applies to this read-out")
    return dq


def make_chip(exposure: Exposure, images: ImageSet) -> tuple[Chip, Geometry]:
    """Return what the kernel needs for one chip."""
    primary, detector = exposure.primary, exposure.detector
    shape: Any = images.sci.shape
    ccdtab = exposure.references["CCDTAB"]
    ccd = ccd_row(ccdtab.rows(), primary, images.chip, ccdtab.name)
    osc_table = exposure.references.get("OSCNTAB")
    osc = overscan_row(
        osc_table.rows() if osc_table else None, primary, images.chip, shape,
        osc_table.name if osc_table else "built in",
    )  # fmt: skip
    ltv1 = images.sci.header.real("LTV1", 0.0)
    where = layout(detector, primary, images.chip, ltv1=ltv1, ccd=ccd, osc=osc)
    performs = {s: is_performed(primary, s) for s in ("DQICORR", "BLEVCORR")}
    full_well = exposure.references.get("SATUFILE") if performs["DQICORR"] else None
    wells = reference_image(full_well, images.chip, shape)
    chip = Chip(
        raw=images.sci.stored(),
        zero=images.sci.header.real("BZERO", 0.0),
        dq=_data_quality(exposure, images),
        amps=where.amps,
        trim_y=where.trim_y,
        shape=where.shape,
        serious=images.sci.header.integer("SDQFLAGS", 31743),
        a_to_d_limit=where.a_to_d_limit if performs["DQICORR"] else None,
        bias=reference_image(exposure.usable("BIASCORR", "BIASFILE"), images.chip, shape),
        dark=reference_image(exposure.usable("DARKCORR", "DARKFILE"), images.chip, where.shape),
        dark_time=exposure.dark_time,
        flat=reference_image(exposure.usable("FLATCORR", "PFLTFILE"), images.chip, where.shape),
        full_well=wells.sci if wells else None,
        full_well_level=where.full_well_level if performs["DQICORR"] and not wells else None,
        subtract_level=performs["BLEVCORR"],
        electrons=detector.order == "electrons",
        virtual=where.virtual,
    )
    return chip, where


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
    """Write statistics into an extension's header."""
    for key in keys:
        if key in values:
            value = values[key]
            header.set(key, value if isinstance(value, int) else header_float(value))
