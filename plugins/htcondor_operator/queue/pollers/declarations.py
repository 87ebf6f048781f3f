"""The declarations of the pollers (``include/pollers.yaml``): read and checked, one by one.

A declaration that is wrong does not concern the others; its error names poller, field, value and
fix.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from htcondor_operator import vocabulary
from htcondor_operator.queue.pollers.kinds import KINDS, unknown_kind
from htcondor_operator.vocabulary import ErrorKind, OwlError

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,40}", re.ASCII)
_RULES = ("settled", "marker", "checksum")
_NAMED_BY_KIND = frozenset({"shoveler", "alerts"})
_WORKFLOW_USES = ("single", "association")
INTERVALS_S = (0.2, 86_400.0)
"""Shortest and longest interval between two looks."""


@dataclass(frozen=True)
class Completeness:
    """When a delivered file is whole.

    Parameters
    ----------
    rule
        ``settled``: size and time are the same in two looks and the file is older than `seconds`.
        ``marker``: a companion `suffix` beside it says so (``x.fits.done``).
        ``checksum``: a companion `suffix` beside it holds its digest (``x.fits.sha256``).
    seconds
        How long a settled file must not have changed.
    suffix
        What the companion's name has more than the file's.
    """

    rule: str = "settled"
    seconds: float = 5.0
    suffix: str = ""


@dataclass(frozen=True)
class Declaration:
    """One poller, as declared.

    Parameters
    ----------
    name, kind, description
        What it is called, which of :data:`~.poller_kinds.KINDS` it is, a sentence for people.
    interval_s
        Seconds between two looks.
    directory
        Where it looks, below ``OWL_INCOMING``.
    patterns
        Names that it expects there; others are put into quarantine.
    instrument, priority
        Of the entries that it makes.
    workflow
        Workflow by use (``single``, ``association``).
    complete
        When a file is whole.
    options
        What only its kind knows.
    """

    name: str
    kind: str
    interval_s: float
    description: str = ""
    directory: str | None = None
    patterns: tuple[str, ...] = ("*",)
    instrument: str | None = None
    priority: int = 0
    workflow: Mapping[str, str] = field(default_factory=dict)
    complete: Completeness = Completeness()
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def dag_id(self) -> str:
        """The Airflow DAG that this poller is."""
        return self.kind if self.kind in _NAMED_BY_KIND else f"poll_{self.name.lower()}"


@dataclass(frozen=True)
class Declarations:
    """What a file declares, and what is wrong with the rest of it."""

    pollers: tuple[Declaration, ...]
    errors: tuple[OwlError, ...]

    def get(self, name: str) -> Declaration:
        """Return one poller's declaration; an :class:`OwlError` says why there is none."""
        for declaration in self.pollers:
            if declaration.name == name:
                return declaration
        mine = [error for error in self.errors if error.message.startswith(f"Poller {name}:")]
        known = ", ".join(sorted(d.name for d in self.pollers))
        raise (
            mine[0]
            if mine
            else OwlError(ErrorKind.BAD_CONF, f"Poller {name!r} is not declared. Known: {known}.")
        )


def load_declarations(path: Path) -> Declarations:
    """Read the file; a file that cannot be read is an error among the others."""
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        words = f"{path}: cannot be read: {error}. Correct the file, or OWL_POLLERS."
        return Declarations((), (OwlError(ErrorKind.BAD_CONF, words),))
    return parse_declarations(document)


def parse_declarations(document: object) -> Declarations:
    """Check all declarations of a file's content (a list)."""
    if not isinstance(document, list):
        words = "The file of pollers must be a list of mappings, each with name, kind, interval."
        return Declarations((), (OwlError(ErrorKind.BAD_CONF, words),))
    good: dict[str, Declaration] = {}
    errors: list[OwlError] = []
    for number, item in enumerate(document, 1):
        try:
            declaration = parse_declaration(item, number)
            if declaration.dag_id in {d.dag_id for d in good.values()}:
                raise _wrong(declaration.name, "name", declaration.name, "give each its own name")
            _check_folder(declaration, good.values())
            good[declaration.name] = declaration
        except OwlError as error:
            errors.append(error)
    return Declarations(tuple(good.values()), tuple(errors))


def _check_folder(declaration: Declaration, others: Iterable[Declaration]) -> None:
    """Refuse a folder that another poller watches: one would take the other's files away."""
    for other in others:
        if declaration.directory is not None and declaration.directory == other.directory:
            fix = f"{other.name} watches it; give each poller its own folder"
            raise _wrong(declaration.name, "directory", declaration.directory, fix)


def parse_declaration(item: object, number: int = 1) -> Declaration:
    """Check one declaration.

    Raises
    ------
    OwlError
        ``BAD_CONF``: poller, field, value and fix.
    """
    if not isinstance(item, Mapping):
        raise _wrong(f"number {number}", "declaration", item, "write a mapping")
    name = item.get("name")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        fix = "1 to 41 letters, digits or '_', beginning with a letter"
        raise _wrong(f"number {number}", "name", name, fix)
    fields = _Fields(name, item)
    kind = fields.text("kind")
    if kind not in KINDS:
        raise OwlError(ErrorKind.BAD_CONF, unknown_kind(name, kind))
    declaration = Declaration(
        name=name,
        kind=kind,
        interval_s=fields.number("interval", *INTERVALS_S),
        description=fields.text("description", ""),
        directory=fields.directory("directory"),
        patterns=fields.patterns("pattern"),
        instrument=fields.text("instrument", "") or None,
        priority=fields.priority("priority"),
        workflow=fields.workflows("workflow"),
        complete=fields.completeness("complete"),
        options=fields.mapping("options"),
    )
    fields.nothing_else()
    return declaration


class _Fields:
    """The fields of one declaration: each is taken once, with its check."""

    def __init__(self, poller: str, item: Mapping[Any, Any]) -> None:
        self.poller = poller
        self.item = item
        self.taken = {"name"}

    def _take(self, name: str) -> Any:
        self.taken.add(name)
        return self.item.get(name)

    def wrong(self, name: str, value: object, fix: str) -> OwlError:
        return _wrong(self.poller, name, value, fix)

    def text(self, name: str, default: str | None = None) -> str:
        value = self._take(name)
        if value is None and default is not None:
            return default
        if not isinstance(value, str) or not value:
            raise self.wrong(name, value, "write a text")
        return value

    def number(self, name: str, low: float, high: float) -> float:
        value = self._take(name)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.wrong(name, value, "write a number of seconds")
        if not low <= value <= high:
            raise self.wrong(name, value, f"write {low:g} to {high:g} seconds")
        return float(value)

    def priority(self, name: str) -> int:
        value = self._take(name)
        try:
            return vocabulary.priority(0 if value is None else value)
        except OwlError:
            raise self.wrong(name, value, "write a whole number from -10000 to 10000") from None

    def directory(self, name: str) -> str | None:
        value = self._take(name)
        if value is None:
            return None
        path = PurePosixPath(value) if isinstance(value, str) and value else None
        if path is None or path.is_absolute() or ".." in path.parts or not path.parts:
            raise self.wrong(name, value, "name a folder below OWL_INCOMING, without '..'")
        return str(path)

    def patterns(self, name: str) -> tuple[str, ...]:
        value = self._take(name)
        if value is None:
            return ("*",)
        values = value if isinstance(value, list) else [value]
        if not values or not all(isinstance(v, str) and v and "/" not in v for v in values):
            raise self.wrong(name, value, "write a pattern for file names, or a list of them")
        return tuple(values)

    def workflows(self, name: str) -> dict[str, str]:
        value = self._take(name)
        if value is None:
            return {}
        found = {"single": value} if isinstance(value, str) else value
        if not isinstance(found, Mapping) or not set(found) <= set(_WORKFLOW_USES):
            raise self.wrong(name, value, f"write a workflow, or one for each of {_WORKFLOW_USES}")
        try:
            return {use: vocabulary.workflow_name(flow) for use, flow in found.items()}
        except OwlError as error:
            raise self.wrong(name, value, error.message) from None

    def completeness(self, name: str) -> Completeness:
        value = self._take(name)
        if value is None:
            return Completeness()
        if not isinstance(value, Mapping) or value.get("rule") not in _RULES:
            raise self.wrong(name, value, f"write {{rule: one of {', '.join(_RULES)}}}")
        inner = _Fields(f"{self.poller}", value)
        rule = inner.text("rule")
        defaults = {"settled": "", "marker": ".done", "checksum": ".sha256"}
        suffix = inner.text("suffix", defaults[rule])
        seconds = inner.number("seconds", 0, 86_400) if "seconds" in value else 5.0
        inner.taken.discard("name")
        inner.nothing_else(f"{name}.")
        return Completeness(rule, seconds, suffix)

    def mapping(self, name: str) -> dict[str, Any]:
        value = self._take(name)
        if value is None:
            return {}
        if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
            raise self.wrong(name, value, "write a mapping")
        return dict(value)

    def nothing_else(self, prefix: str = "") -> None:
        unknown = _words(set(self.item) - self.taken)
        if unknown:
            known = ", ".join(sorted(self.taken))
            value = self.item[next(k for k in self.item if k not in self.taken)]
            raise self.wrong(f"{prefix}{unknown}", value, f"remove it; known are {known}")


def _words(values: Iterable[object]) -> str:
    return ", ".join(sorted(str(value) for value in values))


def _wrong(poller: str, name: str, value: object, fix: str) -> OwlError:
    return OwlError(ErrorKind.BAD_CONF, f"Poller {poller}: {name} {value!r} is not right: {fix}.")
