"""BC: is the raw file fit to be calibrated? Headers, switches, references, checksums, pixels."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence

from calibration.context import Context, step
from calibration.exit_codes import CalibrationError, ExitCode
from calibration.fits import Hdu, Header, read
from calibration.fits.files import checksum_faults
from calibration.fits.planes import image_sets
from calibration.instruments import Detector, detector_of, is_performed
from calibration.nodes.best_references import note_path, reference_path
from calibration.references import store
from calibration.references.local_index import exposure_time, same

_SWITCH_VALUES = frozenset({"PERFORM", "OMIT", "COMPLETE", "SKIPPED", "OMITTED", "N/A", ""})
_REQUIRED = ("ROOTNAME", "INSTRUME", "DETECTOR")
_REQUIRED_CCD = ("CCDAMP", "CCDGAIN")
_AMPLIFIERS = frozenset("ABCD")

#: What EXPFLAG may say. All but the first are worth a line in the log; none makes the data useless.
_EXPOSURE_FLAGS = (
    "NORMAL", "EXTENDED", "INTERRUPTED", "INCOMPLETE", "PARTIAL", "UNCERTAIN", "INDETERMINATE",
    "N/A", "",
)  # fmt: skip


def run(context: Context) -> None:
    """Check; raise CHECK_BEFORE_FAILED with everything that is wrong, not only the first fault."""
    path = context.raw()
    hdus = read(path)
    primary = hdus[0].header
    detector = detector_of(primary, path.name)
    faults = [*header_faults(hdus, context.dataset, detector), *checksum_faults(hdus)]
    if detector.order != "events":
        faults += _pixel_faults(hdus, path.name)
    else:
        faults += _event_faults(hdus)
    if faults:
        raise CalibrationError(
            ExitCode.CHECK_BEFORE_FAILED,
            f"{path.name}: {'; '.join(faults)}; correct the header or deliver the file again",
        )
    needed = [k for k, switch in detector.references if is_performed(primary, switch)]
    _check_references(context, primary, needed, detector)
    flag = primary.text("EXPFLAG").upper()
    if flag not in ("NORMAL", "N/A", ""):
        step(f"BC {path.name}: EXPFLAG = {flag}, the exposure did not go as planned")
    step(f"BC {path.name}: {detector.instrument}/{detector.name}, {len(needed)} references present")


def header_faults(hdus: Sequence[Hdu], dataset: str, detector: Detector) -> list[str]:
    """Return a sentence for everything that is wrong in the primary header."""
    primary = hdus[0].header
    required = _REQUIRED if detector.order == "events" else (*_REQUIRED, *_REQUIRED_CCD)
    faults = [f"{k} is absent" for k in required if not primary.text(k)]
    rootname = primary.text("ROOTNAME").lower()
    if rootname and rootname != dataset:
        faults.append(f"ROOTNAME = {rootname!r} is not {dataset!r}")
    if primary.text("TELESCOP", "HST").upper() != "HST":
        faults.append(f"TELESCOP = {primary.text('TELESCOP')!r} is not HST")
    faults += _switch_faults(primary)
    faults += _time_faults(primary)
    if detector.order != "events":
        faults += _read_out_faults(primary)
    extensions = primary.get("NEXTEND", len(hdus) - 1)
    if extensions != len(hdus) - 1:
        faults.append(f"NEXTEND = {extensions!r} but there are {len(hdus) - 1} extensions")
    return faults


def _switch_faults(primary: Header) -> Iterator[str]:
    for key in primary:
        value = primary.get(key)
        is_switch = key.endswith("CORR") and isinstance(value, str)
        if is_switch and value.strip().upper() not in _SWITCH_VALUES:
            yield f"{key} = {value!r} is not PERFORM or OMIT"


def _time_faults(primary: Header) -> Iterator[str]:
    for key in ("EXPTIME", "TEXPTIME", "DARKTIME", "FLASHDUR"):
        value = primary.get(key, 0.0)
        is_time = isinstance(value, int | float) and not isinstance(value, bool)
        if not is_time or not math.isfinite(value) or value < 0:
            yield f"{key} = {value!r} is not a time"
    if primary.text("DATE-OBS") or primary.text("TDATEOBS"):
        try:
            exposure_time(primary, "")
        except CalibrationError as error:
            yield error.message.removeprefix(": ").partition(";")[0]
    start, end = (primary.get(key) for key in ("EXPSTART", "EXPEND"))
    if isinstance(start, float) and isinstance(end, float) and end < start:
        yield f"EXPEND = {end} is before EXPSTART = {start}"
    flag = primary.text("EXPFLAG").upper()
    if flag not in _EXPOSURE_FLAGS:
        yield f"EXPFLAG = {flag!r} is not one of {', '.join(_EXPOSURE_FLAGS[:-2])}"


def _read_out_faults(primary: Header) -> Iterator[str]:
    amplifiers = primary.text("CCDAMP").upper()
    if amplifiers and (set(amplifiers) - _AMPLIFIERS or len(set(amplifiers)) != len(amplifiers)):
        yield f"CCDAMP = {amplifiers!r} does not name amplifiers A to D"
    gain = primary.get("CCDGAIN")
    if gain is not None and not (isinstance(gain, int | float) and gain > 0):
        yield f"CCDGAIN = {gain!r} is not a gain"


def _check_references(
    context: Context, primary: Header, needed: list[str], detector: Detector
) -> None:
    """Raise REFERENCE_MISSING or REFERENCE_BAD unless every file is there and is what RF chose."""
    note = note_path(context)
    chosen = json.loads(note.read_text()).get("files", {}) if note.is_file() else {}
    index = store.load(context.references)
    faults: list[str] = []
    for keyword in needed:
        path = reference_path(context, primary, keyword)
        if path is None:
            if keyword not in detector.optional:
                raise CalibrationError(
                    ExitCode.REFERENCE_MISSING,
                    f"{primary.file}: {keyword} = {primary.text(keyword) or 'absent'!r} names no "
                    "file but its switch is PERFORM; run RF first",
                )
            continue
        name = path.name.removesuffix(".gz")
        found = store.used(context.references, name, index)
        known = chosen.get(name, {}).get("sha256")
        if found is not None and known is not None and found.sha256 != known:
            faults.append(f"{keyword} {name} is not the file that RF chose (other sha256)")
        header = read(path, headers_only=True)[0].header
        faults += [
            f"{keyword} {name} is for {key} {header.text(key)}, not {primary.text(key)}"
            for key in ("INSTRUME", "DETECTOR")
            if not same(header.get(key), primary.get(key))
        ]
    if faults:
        raise CalibrationError(
            ExitCode.REFERENCE_BAD, f"{'; '.join(faults)}; restore it, or run RF again"
        )


def _pixel_faults(hdus: list[Hdu], file: str) -> list[str]:
    faults = []
    for images in image_sets(hdus, file):
        where = f"SCI,{images.version}"
        if len(images.sci.shape) != 2 or 0 in images.sci.shape:
            faults.append(f"{where} is not an image")
            continue
        stored = images.sci.stored()
        if stored.min() == stored.max():
            faults.append(f"{where}: all pixels have the same value")
        for hdu in (images.err, images.dq):
            if hdu is not None and hdu.shape and hdu.shape != images.sci.shape:
                faults.append(f"{hdu.name},{images.version} has another shape than {where}")
    return faults


def _event_faults(hdus: list[Hdu]) -> list[str]:
    present = {hdu.name for hdu in hdus[1:]}
    return [f"extension {name} is absent" for name in ("EVENTS", "GTI") if name not in present]
