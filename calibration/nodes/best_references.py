"""RF: the best reference files, written into the raw file's primary header."""

from __future__ import annotations

import json
from pathlib import Path

from calibration.context import Context, step
from calibration.exit_codes import CalibrationError, ExitCode
from calibration.fits import Hdu, Header, read, write
from calibration.fits.files import temporary
from calibration.instruments import Detector, detector_of, is_performed
from calibration.names import is_reference
from calibration.references import local_index
from calibration.software import versions


def run(context: Context) -> None:
    """Choose a file for every reference keyword that the switches need."""
    path = context.raw()
    hdus = read(path)
    primary = hdus[0].header
    detector = detector_of(primary, path.name)
    wanted = _wanted(primary, detector)
    found = _choose(context, hdus, wanted)
    _check(context, found, wanted, detector)
    changed = _update(primary, found, detector, wanted)
    write(path, hdus, checksum=False)
    mapping = crds_mapping(context.references)
    rule = f"crds {mapping.name}" if mapping else "local headers"
    _record(context, found, rule, mapping.name if mapping else None)
    step(f"RF {len(wanted)} references by {rule}, {changed} header values changed")


def chosen(context: Context, hdus: list[Hdu]) -> dict[str, str]:
    """Return the best references of a raw file as RF would record them."""
    wanted = _wanted(hdus[0].header, detector_of(hdus[0].header, hdus[0].header.file))
    return {k: name for k, name in _choose(context, hdus, wanted).items() if name}


def _wanted(primary: Header, detector: Detector) -> list[str]:
    return [k for k, switch in detector.references if is_performed(primary, switch)]


def _choose(context: Context, hdus: list[Hdu], wanted: list[str]) -> dict[str, str | None]:
    mapping = crds_mapping(context.references)
    if mapping is None or not wanted:
        return _by_headers(context, _with_size(hdus), wanted, hdus[0].header.file)
    from calibration.references.crds_rules import best_references

    return best_references(mapping, hdus, wanted)


def crds_mapping(references: Path) -> Path | None:
    """Return the CRDS context of a references folder, when it has mappings."""
    for folder in (references / "mappings" / "hst", references / "mappings"):
        named = folder / "hst.pmap"
        if named.is_file():
            return named
        numbered = sorted(folder.glob("hst_*.pmap"))
        if numbered:
            return numbered[-1]
    return None


def _with_size(hdus: list[Hdu]) -> Header:
    """Return the primary header with the frame's size, which rules ask for too."""
    header = hdus[0].header.copy()
    for key, axis in (("NUMCOLS", "NAXIS1"), ("NUMROWS", "NAXIS2")):
        if len(hdus) > 1 and axis in hdus[1].header:
            header.set(key, hdus[1].header.get(axis))
    return header


def _by_headers(
    context: Context, primary: Header, wanted: list[str], file: str
) -> dict[str, str | None]:
    if not wanted:
        return {}
    if not context.references.is_dir():
        raise CalibrationError(
            ExitCode.REFERENCE_MISSING,
            f"the references folder {context.references} does not exist; correct --references",
        )
    when = local_index.exposure_time(primary, file)
    candidates = local_index.scan(context.references)
    prefer = local_index.preferred(context.references)
    return {k: local_index.choose(k, primary, when, candidates, prefer) for k in wanted}


def locate(references: Path, name: str) -> Path | None:
    """Return a reference file, gzipped or not; None when it is not there."""
    for folder in (references, references / "references" / "hst"):
        for ending in ("", ".gz"):
            path = folder / f"{name}{ending}"
            if path.is_file():
                return path
    return None


def _check(
    context: Context, chosen: dict[str, str | None], wanted: list[str], detector: Detector
) -> None:
    missing = []
    for keyword in wanted:
        name = chosen.get(keyword)
        if name is None and keyword not in detector.optional:
            missing.append(f"no {keyword} fits the exposure")
        elif name is not None and locate(context.references, name) is None:
            missing.append(f"{keyword} = {name} is not there")
    if missing:
        raise CalibrationError(
            ExitCode.REFERENCE_MISSING,
            f"{context.references}: {'; '.join(missing)}; deliver the file, then run RF again",
        )


def _update(
    primary: Header, chosen: dict[str, str | None], detector: Detector, wanted: list[str]
) -> int:
    changed = 0
    for keyword in wanted:
        name = chosen.get(keyword)
        value = f"{detector.prefix}${name}" if name else "N/A"
        old = primary.text(keyword)
        if old.rpartition("$")[2] != (name or "N/A") or keyword not in primary:
            primary.set(keyword, value, None if keyword in primary else "chosen by RF")
            changed += 1
    for keyword, _ in detector.references:  # not needed: what the header says must not mislead BC
        if keyword not in primary and keyword not in wanted:
            primary.set(keyword, "N/A", "not needed")
    return changed


def _record(
    context: Context, chosen: dict[str, str | None], rule: str, mapping: str | None
) -> None:
    """Note the choice, and the software: whoever uses the product again must know both."""
    path = context.folder / f"{context.dataset}_references.json"
    content = {
        "rule": rule,
        "context": mapping,
        "references": {k: v for k, v in chosen.items() if v},
        "software": versions(),
    }
    draft = temporary(path)
    draft.write_text(json.dumps(content, indent=1) + "\n")
    draft.replace(path)


def reference_path(context: Context, header: Header, keyword: str) -> Path | None:
    """Return the path of the file that `keyword` names; None when it names none.

    Raises
    ------
    CalibrationError
        REFERENCE_MISSING when the named file is not in the references folder.
    """
    value = header.text(keyword)
    if not is_reference(value):
        return None
    from calibration.names import reference_file

    name = reference_file(value, keyword)
    path = locate(context.references, name)
    if path is None:
        raise CalibrationError(
            ExitCode.REFERENCE_MISSING,
            f"{keyword} = {name} is not in {context.references}; deliver it, or run RF again",
        )
    return path


def open_reference(context: Context, header: Header, keyword: str) -> tuple[str, list[Hdu]] | None:
    """Read the reference file that `keyword` names; a damaged one is REFERENCE_BAD."""
    path = reference_path(context, header, keyword)
    if path is None:
        return None
    try:
        return path.name.removesuffix(".gz"), read(path)
    except CalibrationError as error:
        raise CalibrationError(ExitCode.REFERENCE_BAD, f"{keyword}: {error.message}") from error
