"""RF: the best reference files, written into the raw file's primary header."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from calibration.context import Context, step
from calibration.exit_codes import CalibrationError, ExitCode
from calibration.fits import Hdu, Header, read, write
from calibration.fits.files import temporary
from calibration.instruments import Detector, detector_of, is_performed
from calibration.names import is_reference, reference_file
from calibration.references import local_index, store
from calibration.software import versions

#: How RF's own HISTORY cards begin.
_NOTE = "HISTORY RF "


def run(context: Context) -> None:
    """Choose a file for every reference keyword that the switches need."""
    path = context.raw()
    hdus = read(path)
    primary = hdus[0].header
    detector = detector_of(primary, path.name)
    wanted = _wanted(primary, detector)
    found = _choose(context, hdus, wanted)
    index = store.load(context.references)
    files = _check(context, found, wanted, detector, index)
    changed = _update(primary, found, detector, wanted)
    mapping = crds_mapping(context.references)
    choice = _Choice(found, files, mapping.name if mapping else None, index["version"])
    choice.write_header(primary)
    write(path, hdus, checksum=False)
    _record(context, choice)
    step(f"RF {len(wanted)} references by {choice.rule}, {changed} header values changed")


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
    if detector_of(primary, file).order == "events":
        return {k: _own(primary, k) for k in wanted}
    when = local_index.exposure_time(primary, file)
    candidates = local_index.scan(context.references)
    prefer = local_index.preferred(context.references)
    return {k: local_index.choose(k, primary, when, candidates, prefer) for k in wanted}


def _own(primary: Header, keyword: str) -> str | None:
    """Return what the header names: COS's files do not say in their headers for what they are."""
    value = primary.text(keyword)
    return reference_file(value, keyword) if is_reference(value) else None


def _check(
    context: Context,
    chosen: dict[str, str | None],
    wanted: list[str],
    detector: Detector,
    index: dict[str, Any],
) -> dict[str, store.Used]:
    """Return the chosen files as they are; REFERENCE_MISSING names all that are not there."""
    missing: list[str] = []
    files: dict[str, store.Used] = {}
    for keyword in wanted:
        name = chosen.get(keyword)
        if name is None:
            if keyword not in detector.optional:
                missing.append(f"no {keyword} fits the exposure")
            continue
        found = files.get(name) or store.used(context.references, name, index)
        if found is None:
            missing.append(f"{keyword} = {name} is not there")
        else:
            files[name] = found
    if missing:
        raise CalibrationError(
            ExitCode.REFERENCE_MISSING,
            f"{context.references}: {'; '.join(missing)}; deliver the file, then run RF again",
        )
    return files


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


@dataclass(frozen=True)
class _Choice:
    """What was chosen, by what."""

    chosen: dict[str, str | None]
    files: dict[str, store.Used]
    mapping: str | None
    version: int

    @property
    def rule(self) -> str:
        """The rule in words."""
        return f"crds {self.mapping}" if self.mapping else "local headers"

    def write_header(self, primary: Header) -> None:
        """Write context, versions and digests, in place of those of an earlier RF."""
        primary.cards = [card for card in primary.cards if not card.startswith(_NOTE)]
        primary.remove()
        crds = versions().get("crds", "N/A") if self.mapping else "N/A"
        primary.set("CRDS_CTX", self.mapping or "N/A", "CRDS context of the references")
        primary.set("CRDS_VER", crds, "version of the crds library")
        primary.set("REFRULE", self.rule, "RF chose the references by")
        primary.set("REFSTORE", self.version, "version of the reference store (0: no index)")
        for keyword, name in self.chosen.items():
            if name:
                primary.history(f"RF {keyword} {name} sha256", f"RF {self.files[name].sha256}")

    def record(self) -> dict[str, Any]:
        """Return what is noted beside the products."""
        return {
            "rule": self.rule,
            "context": self.mapping,
            "store": self.version,
            "references": {k: v for k, v in self.chosen.items() if v},
            "files": {
                name: {"sha256": used.sha256, "bytes": used.size, "version": used.version}
                for name, used in sorted(self.files.items())
            },
            "software": versions(),
        }


def note_path(context: Context) -> Path:
    """Path of RF's note in the work folder."""
    return context.folder / f"{context.dataset}_references.json"


def _record(context: Context, choice: _Choice) -> None:
    """Note the choice, and the software: whoever uses the product again must know both."""
    path = note_path(context)
    draft = temporary(path)
    draft.write_text(json.dumps(choice.record(), indent=1) + "\n")
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
    name = reference_file(value, keyword)
    path = store.locate(context.references, name)
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
