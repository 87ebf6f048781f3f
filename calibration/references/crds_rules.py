"""Best references by CRDS rules, from mappings on this machine: no server is asked.

The pipeline and instrument mappings are read as the literals that they are, and each rmap is
loaded with the ``crds`` library, so that mapping folders of any layout work: names in a mapping
are looked up by their last part.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from calibration.exit_codes import CalibrationError, ExitCode
from calibration.fits import Hdu
from calibration.references.mapping_file import MappingFile, broken, open_mapping, open_rules

os.environ.setdefault("CRDS_MODE", "local")


def selector_of(mapping: Path) -> dict[str, str]:
    """Return the names in a pipeline or instrument mapping, keys in lower case."""
    return open_mapping(mapping).names()


def matching_header(hdus: Sequence[Hdu]) -> dict[str, str]:
    """Return the header values that rules are matched against.

    The primary header, then what only SCI says; NUMCOLS and NUMROWS, which the BIASFILE rules
    need, are the frame's sizes.
    """
    out: dict[str, str] = {}
    for hdu in (*hdus[1:2], hdus[0]):
        for key in hdu.header:
            value = hdu.header.get(key)
            if key and key not in ("COMMENT", "HISTORY") and value is not None:
                out[key] = _text(value)
    if len(hdus) > 1:
        out["NUMCOLS"] = _text(hdus[1].header.get("NAXIS1", 0))
        out["NUMROWS"] = _text(hdus[1].header.get("NAXIS2", 0))
    return out


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "T" if value else "F"
    return str(value).strip()


def best_references(
    context: Path, hdus: Sequence[Hdu], keywords: Sequence[str]
) -> dict[str, str | None]:
    """Return the best file for each keyword; None where the rules give none (N/A).

    Raises
    ------
    CalibrationError
        MAPPING_BAD, REFERENCE_AMBIGUOUS or BEST_REFERENCES_ERROR, naming the mapping.
    """
    header = matching_header(hdus)
    instrument = header.get("INSTRUME", "").lower()
    folder = context.parent
    imaps = selector_of(context)
    if instrument not in imaps:
        raise CalibrationError(
            ExitCode.BEST_REFERENCES_ERROR, f"{context.name} has no rules for {instrument.upper()}"
        )
    rmaps = selector_of(folder / Path(imaps[instrument]).name)
    out: dict[str, str | None] = {}
    for keyword in keywords:
        name = rmaps.get(keyword.lower())
        if name is None or name.upper() in ("N/A", "OMIT"):
            out[keyword] = None
        else:
            rules = Rules(folder / Path(name).name, instrument, keyword)
            out[keyword] = rules.best(conditioned(header))
    return out


def conditioned(header: Mapping[str, str]) -> dict[str, str]:
    """Return header values as rules compare them (numbers in one form, upper case)."""
    from crds.core import utils

    return dict(utils.condition_header(header))


@dataclass
class Rules:
    """One rmap, loaded when it is first asked.

    Parameters
    ----------
    path
        The rmap.
    instrument, keyword
        Whose rules it must have.
    """

    path: Path
    instrument: str
    keyword: str
    _loaded: tuple[MappingFile, Any] | None = None

    def best(self, header: Mapping[str, str]) -> str | None:
        """Return the best file for :func:`conditioned` header values; None when none is needed.

        Raises
        ------
        CalibrationError
            MAPPING_BAD, REFERENCE_AMBIGUOUS or BEST_REFERENCES_ERROR, naming the mapping.
        """
        from crds.core import exceptions

        if self._loaded is None:
            self._loaded = self._load()
        file, mapping = self._loaded
        name = self.path.name
        try:
            found = mapping.get_best_ref(header)
        except exceptions.AmbiguousMatchError as error:
            text = " ".join(str(error).split())
            raise CalibrationError(
                ExitCode.REFERENCE_AMBIGUOUS, f"{name}: {text}; correct the rules in CRDS"
            ) from error
        except exceptions.CrdsLookupError as error:
            text = " ".join(str(error).split())
            raise CalibrationError(
                ExitCode.BEST_REFERENCES_ERROR, f"{name}: no rule fits: {text}"
            ) from error
        except Exception as error:
            raise broken(self.path, _text_of(error)) from error
        if found is None or str(found).upper() in ("N/A", "NOT FOUND N/A"):
            return None
        if str(found).startswith("NOT FOUND"):
            raise CalibrationError(
                ExitCode.BEST_REFERENCES_ERROR, f"{name}: {found}; correct the header"
            )
        return self._only(str(found).lower(), file.equals, header)

    def _only(
        self, found: str, equals: Mapping[str, frozenset[str]], header: Mapping[str, str]
    ) -> str:
        """Return the file if no other has its place; of equals, the one that the header names."""
        if found not in equals:
            return found
        own = header.get(self.keyword.upper(), "").rpartition("$")[2].lower()
        if own in equals[found]:
            return own
        raise CalibrationError(
            ExitCode.REFERENCE_AMBIGUOUS,
            f"{self.path.name}: {', '.join(sorted(equals[found]))} have the same date and rule; "
            f"name the right one in the header ({self.keyword.upper()})",
        )

    def _load(self) -> tuple[MappingFile, Any]:
        from crds.core import rmap

        file = open_rules(self.path, self.instrument, self.keyword)
        try:
            return file, rmap.load_mapping(str(self.path))
        except Exception as error:  # whatever a damaged mapping makes crds raise
            raise broken(self.path, _text_of(error)) from error


def _text_of(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"
