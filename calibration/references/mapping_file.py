"""A CRDS mapping as a file: is it whole, and do its rules make sense?

``crds`` loads whatever Python accepts: of two rules with one key the last is taken, and a date that
is none sorts somewhere. What would silently choose another reference is a fault here. One thing is
none, since published mappings have it (hst_acs_darkfile.rmap of 2013): two files of one date. They
are ambiguous for the exposures that they concern, not for all.
"""

from __future__ import annotations

import ast
import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from calibration.exit_codes import CalibrationError, ExitCode

_KINDS = {".pmap": "PIPELINE", ".imap": "INSTRUMENT", ".rmap": "REFERENCE"}
_REQUIRED = ("mapping", "name", "observatory", "parkey", "sha1sum")
_REQUIRED_OF_RULES = ("instrument", "filekind")
_DATE = re.compile(r"\d{4}-[01]\d-[0-3]\d [0-2]\d:[0-5]\d:[0-6]\d(\.\d+)?", re.ASCII)


@dataclass(frozen=True)
class MappingFile:
    """A sound mapping.

    Parameters
    ----------
    path
        The file.
    header
        Its header.
    selector
        Its selector as it stands in the file.
    equals
        File -> the files that have its place in the rules as well (same rule, same date).
    """

    path: Path
    header: dict[str, Any]
    selector: ast.expr
    equals: dict[str, frozenset[str]]

    def names(self) -> dict[str, str]:
        """Return the names in a pipeline or instrument mapping, keys in lower case."""
        try:
            return {str(k).lower(): str(v) for k, v in ast.literal_eval(self.selector).items()}
        except (ValueError, AttributeError) as error:
            raise broken(self.path, f"its selector is no table of names ({error})") from error


def broken(path: Path, what: str) -> CalibrationError:
    """Return the error that names a mapping and what is wrong with it."""
    return CalibrationError(
        ExitCode.MAPPING_BAD, f"{path.name}: {what}; restore the mapping from CRDS"
    )


def open_mapping(path: Path) -> MappingFile:
    """Read a mapping without running it.

    Raises
    ------
    CalibrationError
        MAPPING_BAD, naming the file and all that is wrong with it.
    """
    try:
        text = path.read_text()
        body = ast.parse(text).body
    except FileNotFoundError:
        raise CalibrationError(
            ExitCode.MAPPING_BAD, f"{path.name} is not in {path.parent}; fetch it from CRDS"
        ) from None
    except (SyntaxError, ValueError) as error:
        raise broken(path, f"it is no mapping ({type(error).__name__}: {error})") from error
    parts = {
        getattr(node.targets[0], "id", ""): node.value
        for node in body
        if isinstance(node, ast.Assign)
    }
    absent = [part for part in ("header", "selector") if part not in parts]
    if absent:
        raise broken(path, f"it has no {absent[0]}")
    try:
        header = dict(ast.literal_eval(parts["header"]))
    except (ValueError, TypeError) as error:
        raise broken(path, f"its header is not a table of values ({error})") from error
    rules = _Rules()
    rules.read(parts["selector"])
    faults = [*_header_faults(path, header, text), *rules.faults]
    if faults:
        raise broken(path, ", ".join(dict.fromkeys(faults + rules.repeated)))
    return MappingFile(path, header, parts["selector"], rules.equals)


def open_rules(path: Path, instrument: str, keyword: str) -> MappingFile:
    """Read the rules of one keyword; MAPPING_BAD when they are another's."""
    rules = open_mapping(path)
    own = str(rules.header["instrument"]).upper(), str(rules.header["filekind"]).upper()
    if own != (instrument.upper(), keyword.upper()):
        raise broken(
            path, f"it has the rules of {'/'.join(own)}, not of {instrument}/{keyword}".upper()
        )
    return rules


def checksum(text: str) -> str:
    """Return CRDS's checksum of a mapping: sha1 of all lines but the one that holds it."""
    kept = "".join(line for line in text.splitlines(keepends=True) if "sha1sum" not in line)
    return hashlib.sha1(kept.encode(), usedforsecurity=False).hexdigest()


def _header_faults(path: Path, header: dict[str, Any], text: str) -> Iterator[str]:
    kind = _KINDS.get(path.suffix)
    required = (*_REQUIRED, *(_REQUIRED_OF_RULES if kind == "REFERENCE" else ()))
    yield from (f"its header has no {key!r}" for key in required if key not in header)
    if kind and str(header.get("mapping", kind)).upper() != kind:
        yield f"its header says that it is a mapping of kind {header['mapping']!r}"
    found = checksum(text)
    if header.get("sha1sum", found) != found:
        yield f"its checksum is {found}, its header says {header['sha1sum']}"
    relevance = header.get("parkey_relevance", {})
    expressions = {"rmap_relevance": header.get("rmap_relevance", "ALWAYS"),
                   "rmap_omit": header.get("rmap_omit", "False"),
                   **{f"parkey_relevance of {k}": v for k, v in relevance.items()}}  # fmt: skip
    for name, expression in expressions.items():
        try:
            # Keywords such as DATE-OBS are no names of Python's, but they do parse.
            ast.parse(str(expression), mode="eval")
        except SyntaxError:
            yield f"{name} = {expression!r} is not an expression"


@dataclass
class _Rules:
    """What is found on a walk through a selector."""

    faults: list[str] = field(default_factory=list)
    repeated: list[str] = field(default_factory=list)
    equals: dict[str, frozenset[str]] = field(default_factory=dict)

    def read(self, selector: ast.expr) -> None:
        """Walk through all tables of a selector."""
        by_date = {
            id(node.args[0])
            for node in ast.walk(selector)
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "UseAfter"
            if node.args
        }
        for node in ast.walk(selector):
            if isinstance(node, ast.Dict):
                self._read_table(node, dates=id(node) in by_date)

    def _read_table(self, table: ast.Dict, *, dates: bool) -> None:
        values: dict[str, list[ast.expr]] = {}
        for key, value in zip(table.keys, table.values, strict=True):
            if key is None:
                self.faults.append("its rules unpack another table")
                continue
            if dates:
                self._check_date(key)
            known = values.setdefault(ast.dump(key), [])
            known.append(value)
            if len(known) > 1:
                sentence = f"line {key.lineno} repeats the rule for {ast.unparse(key)}"
                (self.repeated if dates else self.faults).append(sentence)
        if dates:
            for equals in values.values():
                files = frozenset(str(ast.literal_eval(v)).lower() for v in equals)
                if len(files) > 1:
                    self.equals.update(dict.fromkeys(files, files))

    def _check_date(self, key: ast.expr) -> None:
        date = getattr(key, "value", None)
        if not isinstance(date, str) or not _DATE.fullmatch(date):
            self.faults.append(f"line {key.lineno}: {date!r} is not a date")
