"""A request for a campaign in a file: YAML (or JSON), or CSV with one dataset per line."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any

import yaml

from htcondor_operator.blackboard.dataset_filter import parse
from htcondor_operator.vocabulary import (
    ErrorKind,
    OwlError,
    campaign_name,
    dataset_name,
    priority,
    workflow_name,
)

SUFFIXES = (".yaml", ".yml", ".json", ".csv")
_FIELDS = ("name", "type", "datasets", "where", "priority", "reason", "params", "add", "by")
_COLUMNS = ("dataset", "name", "type", "priority", "reason")


@dataclass(frozen=True)
class Request:
    """What a file asks for.

    Parameters
    ----------
    name, type, priority, reason, by
        Of the campaign; a file that gives no name gives its own.
    datasets, where
        One of the two: names, or a filter over the catalogue.
    params
        Parameters of the workflow for all runs.
    add
        Whether the campaign may be there already.
    """

    name: str
    type: str
    datasets: tuple[str, ...] = ()
    where: str | None = None
    priority: int = 0
    reason: str | None = None
    params: Mapping[str, Any] = field(default_factory=dict)
    add: bool = False
    by: str | None = None


def read_request(name: str, content: bytes) -> Request:
    """Read a request file.

    Raises
    ------
    OwlError
        Field, value and fix.
    """
    path = PurePath(name)
    if path.suffix not in SUFFIXES:
        raise _bad(f"its name does not end in {', '.join(SUFFIXES)}")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _bad("it is no text (UTF-8)") from error
    fields = _from_csv(text) if path.suffix == ".csv" else _from_yaml(text)
    return _checked({"name": path.stem, **fields})


class _Loader(yaml.SafeLoader):
    """Plain YAML: a few aliases of aliases would stand for more text than memory holds."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("aliases are not allowed")
        return super().compose_node(parent, index)


def _from_yaml(text: str) -> dict[str, Any]:
    try:
        fields = yaml.load(text, _Loader)  # noqa: S506 - a SafeLoader
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise _bad(f"it is no YAML: {' '.join(str(error).split())}") from error
    if not isinstance(fields, dict) or not all(isinstance(key, str) for key in fields):
        raise _bad(f"it must be a mapping with {', '.join(_FIELDS)}")
    unknown = sorted(set(fields) - set(_FIELDS))
    if unknown:
        raise _bad(f"its field {unknown[0]!r} is not known: there are {', '.join(_FIELDS)}")
    return {key: value for key, value in fields.items() if value is not None}


def _from_csv(text: str) -> dict[str, Any]:
    reader = csv.DictReader(io.StringIO(text), strict=True)
    try:
        columns = [(name or "").strip() for name in reader.fieldnames or ()]
    except csv.Error as error:
        raise _bad(f"its first line is no CSV: {error}") from error
    reader.fieldnames = columns
    if "dataset" not in columns or "type" not in columns or set(columns) - set(_COLUMNS):
        raise _bad(
            f"its first line {','.join(columns)!r} must be a heading with dataset and type, and "
            f"perhaps {', '.join(_COLUMNS[1:2] + _COLUMNS[3:])}"
        )
    try:
        rows = [row for row in reader if any(row.values())]
    except csv.Error as error:
        raise _bad(f"line {reader.line_num} is no CSV: {error}") from error
    if any(None in row or None in row.values() for row in rows):
        raise _bad("a line has more or fewer columns than the heading")
    fields: dict[str, Any] = {"datasets": [row["dataset"].strip() for row in rows]}
    for column in set(columns) - {"dataset"}:
        values = {row[column].strip() for row in rows} - {""}
        if len(values) > 1:
            raise _bad(f"its column {column} has several values: {', '.join(sorted(values)[:3])}")
        if values:
            fields[column] = values.pop()
    if "priority" in fields:
        try:
            fields["priority"] = int(fields["priority"])
        except ValueError as error:
            raise _bad(f"its priority {fields['priority']!r} is not a whole number") from error
    return fields


def _checked(fields: Mapping[str, Any]) -> Request:
    datasets, where = fields.get("datasets"), fields.get("where")
    if (datasets is None) == (where is None):
        raise _bad("it must have one of datasets (a list) and where (a filter)")
    if where is not None:
        if not isinstance(where, str):
            raise _bad(f"its where {where!r} is not a text")
        parse(where, "where")
    elif not isinstance(datasets, list) or not datasets:
        raise _bad(f"its datasets {datasets!r} are not a list of names")
    for name in ("reason", "by"):
        if not isinstance(fields.get(name), str | None):
            raise _bad(f"its {name} {fields[name]!r} is not a text")
    params, add = fields.get("params", {}), fields.get("add", False)
    if not isinstance(params, dict) or not isinstance(add, bool):
        raise _bad("its params must be a mapping, and add true or false")
    return Request(
        name=campaign_name(fields["name"], "name"),
        type=workflow_name(fields.get("type"), "type"),
        datasets=tuple(dataset_name(each, "datasets") for each in datasets or ()),
        where=where,
        priority=priority(fields.get("priority", 0)),
        reason=fields.get("reason"),
        params=params,
        add=add,
        by=fields.get("by"),
    )


def _bad(words: str) -> OwlError:
    return OwlError(ErrorKind.BAD_CONF, f"{words}. Correct the file.")
