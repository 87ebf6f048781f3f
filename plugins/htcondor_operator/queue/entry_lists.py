"""Reads lists of new entries: CSV with a heading, or one fileset per line. Nothing is half valid.

Every line is checked against its workflow, and all that is wrong is told at once, by line number,
field, value and fix.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from htcondor_operator.blackboard.new_entries import NewEntry, check, payload_text
from htcondor_operator.dagman.workflows import (
    Workflow,
    check_params,
    load_workflow,
    workflow_folders,
)
from htcondor_operator.queue.instruments import queue_instrument
from htcondor_operator.vocabulary import (
    EntryState,
    ErrorKind,
    InvalidName,
    OwlError,
    dataset_name,
    priority,
    workflow_name,
)

COLUMNS = ("fileset", "type", "priority", "reason", "payload")
_TOLD_MOST = 20


@dataclass(frozen=True)
class Defaults:
    """What holds for entries that do not say otherwise."""

    type: str | None = None
    priority: int | None = None
    reason: str | None = None
    payload: Mapping[str, Any] = field(default_factory=dict)
    requested_by: str | None = None
    state: EntryState = EntryState.WAITING


def read_payload(text: str | None) -> Mapping[str, Any]:
    """Return the payload that `text` is as JSON; without text an empty one."""
    if not text:
        return {}
    try:
        payload = json.loads(text)
    except ValueError as error:
        raise OwlError(
            ErrorKind.BAD_CONF,
            f"payload {text!r} is not JSON ({error}). Give an object such as "
            '{"members": ["ib1f23qeq"]}; in a CSV its quotes are doubled.',
        ) from error
    payload_text(payload)
    return dict(payload)


class EntryReader:
    """Makes entries of what people write.

    Parameters
    ----------
    templates
        Folder of the workflows.
    defaults
        For what a line leaves out. Without a priority the workflow's own holds.
    """

    def __init__(self, templates: Path, defaults: Defaults) -> None:
        self._templates = templates
        self._defaults = defaults
        self._workflow = cache(self._load)
        self._fits: set[tuple[str, str]] = set()

    def entry(self, fields: Mapping[str, str]) -> NewEntry:
        """Return the entry that `fields` (see :data:`COLUMNS`) describe.

        Raises
        ------
        OwlError
            The field, its value and how to correct it.
        """
        fileset = dataset_name(fields.get("fileset", ""), "fileset")
        workflow = self._workflow(fields.get("type") or self._defaults.type)
        payload = read_payload(fields.get("payload")) or self._defaults.payload
        self._check_payload(workflow, payload)
        entry = NewEntry(
            fileset=fileset,
            type=workflow.name,
            priority=self._priority(fields.get("priority"), workflow),
            payload=payload,
            instrument=queue_instrument(fileset, workflow.instrument),
            reason=fields.get("reason") or self._defaults.reason,
            requested_by=self._defaults.requested_by,
            state=self._defaults.state,
        )
        check(entry)
        return entry

    def entries(self, lines: Iterable[str], source: str) -> list[NewEntry]:
        """Return the entries of a CSV or of a list of names.

        The first line may name the columns, in any order; without it they are those of
        :data:`COLUMNS`. Empty lines and lines that begin with ``#`` are passed over.

        Raises
        ------
        OwlError
            Names every bad line (the first twenty) with its number.
        """
        entries: list[NewEntry] = []
        faults: list[OwlError] = []
        for number, fields in _rows(lines, source):
            try:
                entries.append(self.entry(fields))
            except OwlError as error:
                faults.append(OwlError(error.kind, f"{source}, line {number}: {error.message}"))
        if faults:
            raise _together(faults)
        return entries

    def _load(self, name: str | None) -> Workflow:
        folder = self._templates / workflow_name(name or "", "type")
        if not folder.is_dir():
            known = ", ".join(path.name for path in workflow_folders(self._templates)) or "none"
            raise OwlError(
                ErrorKind.BAD_NAME,
                f"type {name!r} is not a workflow. Take one of: {known}.",
            )
        return load_workflow(folder)

    def _priority(self, text: str | None, workflow: Workflow) -> int:
        if text:
            try:
                return priority(int(text))
            except InvalidName:
                raise
            except ValueError:
                return priority(text)  # says what is allowed
        own = self._defaults.priority
        return workflow.priority if own is None else priority(own)

    def _check_payload(self, workflow: Workflow, payload: Mapping[str, Any]) -> None:
        # Thousands of lines with the same payload are checked once.
        key = (workflow.name, json.dumps(dict(payload), sort_keys=True))
        if key in self._fits:
            return
        try:
            check_params(workflow, payload)
        except OwlError as error:
            raise OwlError(
                error.kind,
                error.message.replace("params.", "payload.", 1).replace(
                    "the run's conf", "the payload"
                ),
            ) from error
        self._fits.add(key)


def _rows(lines: Iterable[str], source: str) -> Iterator[tuple[int, dict[str, str]]]:
    reader = csv.reader(lines, strict=True)
    columns: tuple[str, ...] | None = None
    while True:
        number = reader.line_num + 1
        try:
            row = next(reader, None)
        except (csv.Error, UnicodeDecodeError) as error:
            raise OwlError(
                ErrorKind.BAD_CONF, f"{source}, line {number}: is not CSV in UTF-8 ({error})."
            ) from error
        if row is None:
            return
        cells = [cell.strip() for cell in row]
        if columns is None and cells:
            cells[0] = cells[0].removeprefix("\ufeff")
        if not any(cells) or cells[0].startswith("#"):
            continue
        if columns is None:
            columns = _heading(cells, source, number)
            if columns:
                continue
            columns = COLUMNS
        if len(cells) > len(columns):
            raise OwlError(
                ErrorKind.BAD_CONF,
                f"{source}, line {number}: has {len(cells)} fields, the columns are "
                f"{', '.join(columns)}. Put quotes around a field that holds commas.",
            )
        yield number, dict(zip(columns, cells, strict=False))


def _heading(cells: list[str], source: str, number: int) -> tuple[str, ...]:
    words = tuple(cell.lower() for cell in cells)
    if not {"fileset", "dataset"} & set(words):
        return ()
    columns = tuple("fileset" if word == "dataset" else word for word in words)
    unknown = [word for word in columns if word not in COLUMNS]
    if unknown or len(set(columns)) < len(columns):
        raise OwlError(
            ErrorKind.BAD_CONF,
            f"{source}, line {number}: the columns {', '.join(columns)} must be different ones of "
            f"{', '.join(COLUMNS)}.",
        )
    return columns


def _together(faults: list[OwlError]) -> OwlError:
    words = [fault.message for fault in faults[:_TOLD_MOST]]
    if len(faults) > _TOLD_MOST:
        words.append(f"... and {len(faults) - _TOLD_MOST} more lines.")
    return OwlError(faults[0].kind, "\n".join([*words, "Nothing was added."]))
