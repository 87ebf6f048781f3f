"""``affected``: the datasets whose best references differ between two CRDS contexts.

One process answers for any number of datasets: a mapping that both contexts have is not looked at,
and each of the others is loaded once.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from calibration.exit_codes import CalibrationError, ExitCode
from calibration.references.crds_rules import Rules, conditioned, selector_of


def main(argv: list[str]) -> None:
    """Read datasets from standard input, write those that are affected to standard output."""
    parser = argparse.ArgumentParser(prog="python -m calibration affected", description=__doc__)
    parser.add_argument("--old", required=True, help="CRDS context, such as hst_0001.pmap")
    parser.add_argument("--new", required=True)
    parser.add_argument("--references", type=Path, required=True, help="with the mappings in it")
    options = parser.parse_args(argv)
    old, new = (find_context(options.references, name) for name in (options.old, options.new))
    comparison = Comparison(old, new)
    for dataset in read_lines(sys.stdin):
        answer = comparison.answer(dataset["instrument"], dataset["reference_keys"])
        if answer:
            sys.stdout.write(json.dumps({"dataset": dataset["dataset"], **answer}) + "\n")


def find_context(references: Path, name: str) -> Path:
    """Return the path of a context by its name."""
    if Path(name).name == name:
        folders = (references / "mappings" / "hst", references / "mappings", references)
        for folder in folders:
            if (folder / name).is_file():
                return folder / name
    raise CalibrationError(
        ExitCode.MAPPING_BAD,
        f"context {name!r} is not in {references} (nor in mappings/ or mappings/hst/ below it); "
        "fetch it from CRDS",
    )


def read_lines(lines: Iterable[str]) -> Iterator[dict[str, Any]]:
    """Yield the datasets of JSON lines; USAGE_ERROR names the line that is none."""
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
            keys = value["reference_keys"]
            if not isinstance(keys, dict):
                raise TypeError("reference_keys is not a mapping")
            dataset, instrument = str(value["dataset"]), str(value["instrument"])
        except (ValueError, KeyError, TypeError) as error:
            raise CalibrationError(
                ExitCode.USAGE_ERROR,
                f"line {number} of standard input: {error!r}; it must be "
                '{"dataset": ..., "instrument": ..., "reference_keys": {...}}',
            ) from error
        yield {"dataset": dataset, "instrument": instrument, "reference_keys": keys}


@dataclass
class Comparison:
    """Two contexts and what is known of their differences."""

    old: Path
    new: Path
    _pairs: dict[str, dict[str, tuple[Rules | None, Rules | None]]] = field(default_factory=dict)

    def answer(self, instrument: str, header: Mapping[str, str]) -> dict[str, Any]:
        """Return ``changes`` (and ``errors``) of an exposure; nothing if it is not affected.

        Parameters
        ----------
        instrument
            INSTRUME.
        header
            The values by which rules choose.
        """
        ready = conditioned(header)
        changes: dict[str, list[str | None]] = {}
        errors: dict[str, str] = {}
        for keyword, pair in self._differing(instrument.lower()).items():
            (before, fault), (after, new_fault) = (_best(rules, ready) for rules in pair)
            if before != after:
                changes[keyword] = [before, after]
                if fault or new_fault:
                    errors[keyword] = fault or new_fault or ""
        if not changes:
            return {}
        return {"changes": changes, "errors": errors} if errors else {"changes": changes}

    def _differing(self, instrument: str) -> dict[str, tuple[Rules | None, Rules | None]]:
        """Return the rules of an instrument that are not the same in both contexts."""
        if instrument not in self._pairs:
            old, new = _rmaps(self.old, self.new, instrument)
            self._pairs[instrument] = {
                keyword.upper(): (
                    _load(old.get(keyword), instrument, keyword),
                    _load(new.get(keyword), instrument, keyword),
                )
                for keyword in sorted({*old, *new})
                if not _same(old.get(keyword), new.get(keyword))
            }
        return self._pairs[instrument]


def _best(rules: Rules | None, header: Mapping[str, str]) -> tuple[str | None, str | None]:
    """Return the best file, or none and why; a broken mapping concerns all and is raised."""
    if rules is None:
        return None, None
    try:
        return rules.best(header), None
    except CalibrationError as error:
        if error.code == ExitCode.MAPPING_BAD:
            raise
        return None, error.message


def _rmaps(old: Path, new: Path, instrument: str) -> tuple[dict[str, Path], dict[str, Path]]:
    """Return an instrument's rule files by keyword, old and new; none if nothing is different."""
    imaps = [_imap(context, instrument) for context in (old, new)]
    if imaps[0] == imaps[1]:
        return {}, {}
    before, after = (_files(imap) for imap in imaps)
    return before, after


def _imap(context: Path, instrument: str) -> Path | None:
    name = selector_of(context).get(instrument, "")
    return context.parent / Path(name).name if name.endswith(".imap") else None


def _files(imap: Path | None) -> dict[str, Path]:
    if imap is None:
        return {}
    return {
        keyword: imap.parent / Path(name).name
        for keyword, name in selector_of(imap).items()
        if name.endswith(".rmap")
    }


def _same(old: Path | None, new: Path | None) -> bool:
    if old is None or new is None:
        return old is new
    # By content: what is only renamed changes nothing.
    return old == new or _content(old) == _content(new)


def _content(path: Path) -> bytes:
    return path.read_bytes() if path.is_file() else str(path).encode()


def _load(path: Path | None, instrument: str, keyword: str) -> Rules | None:
    return None if path is None else Rules(path, instrument, keyword)
