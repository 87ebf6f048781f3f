"""BC: is the raw file fit to be calibrated? Headers, switches, references, checksums, pixels."""

from __future__ import annotations

from calibration.context import Context, step
from calibration.exit_codes import CalibrationError, ExitCode
from calibration.fits import Hdu, Header, read
from calibration.fits.files import checksum_faults
from calibration.fits.planes import image_sets
from calibration.instruments import Detector, detector_of, is_performed
from calibration.nodes.best_references import reference_path

_SWITCH_VALUES = frozenset({"PERFORM", "OMIT", "COMPLETE", "SKIPPED", "OMITTED", "N/A", ""})
_REQUIRED = ("ROOTNAME", "INSTRUME", "DETECTOR")
_REQUIRED_CCD = ("CCDAMP", "CCDGAIN")


def run(context: Context) -> None:
    """Check; raise CHECK_BEFORE_FAILED with everything that is wrong, not only the first fault."""
    path = context.raw()
    hdus = read(path)
    primary = hdus[0].header
    detector = detector_of(primary, path.name)
    faults = [*_header_faults(primary, context, detector), *checksum_faults(hdus)]
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
    for keyword in needed:
        named = reference_path(context, primary, keyword)
        if named is None and keyword not in detector.optional:
            raise CalibrationError(
                ExitCode.REFERENCE_MISSING,
                f"{path.name}: {keyword} = {primary.text(keyword) or 'absent'!r} names no file "
                "but its switch is PERFORM; run RF first",
            )
    step(f"BC {path.name}: {detector.instrument}/{detector.name}, {len(needed)} references present")


def _header_faults(primary: Header, context: Context, detector: Detector) -> list[str]:
    required = _REQUIRED if detector.order == "events" else (*_REQUIRED, *_REQUIRED_CCD)
    faults = [f"{k} is absent" for k in required if not primary.text(k)]
    rootname = primary.text("ROOTNAME").lower()
    if rootname and rootname != context.dataset:
        faults.append(f"ROOTNAME = {rootname!r} is not {context.dataset!r}")
    for key in primary:
        value = primary.get(key)
        is_switch = key.endswith("CORR") and isinstance(value, str)
        if is_switch and value.strip().upper() not in _SWITCH_VALUES:
            faults.append(f"{key} = {value!r} is not PERFORM or OMIT")
    exposure = primary.get("EXPTIME", primary.get("TEXPTIME", 0.0))
    if not isinstance(exposure, int | float) or exposure < 0:
        faults.append(f"EXPTIME = {exposure!r} is not a time")
    return faults


def _pixel_faults(hdus: list[Hdu], file: str) -> list[str]:
    faults = []
    for images in image_sets(hdus, file):
        where = f"SCI,{images.version}"
        if len(images.sci.shape) != 2:
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
