"""New entries of the queue before they are in it: valid, each once, and as text for COPY."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from htcondor_operator.vocabulary import (
    EntryState,
    ErrorKind,
    Informational,
    OwlError,
    dataset_name,
    priority,
    workflow_name,
)

_NOTHING: Mapping[str, Any] = MappingProxyType({})
_INFORMATIONAL = frozenset(str(kind) for kind in Informational)


@dataclass(frozen=True)
class NewEntry:
    """What shall come into the queue.

    Parameters
    ----------
    fileset
        Name of the dataset or association.
    type
        Workflow that it waits for, or kind of an informational entry.
    priority
        Higher goes first; 0 for informational entries.
    payload
        Parameters of the workflow beyond the dataset.
    instrument, campaign
        For caps and for campaigns.
    reason, requested_by
        Why, and who or which poller asks.
    state
        ``informational`` for informational types, and only for them.
    """

    fileset: str
    type: str
    priority: int = 0
    payload: Mapping[str, Any] = field(default_factory=lambda: _NOTHING)
    instrument: str | None = None
    reason: str | None = None
    campaign: str | None = None
    requested_by: str | None = None
    state: EntryState = EntryState.WAITING


def checked(entries: Iterable[NewEntry]) -> Iterator[NewEntry]:
    """Yield `entries` as long as they are valid.

    Raises
    ------
    OwlError
        Names the entry by its number (from 1), the field, the value and the fix.
    """
    for number, entry in enumerate(entries, 1):
        try:
            check(entry)
        except OwlError as error:
            raise OwlError(error.kind, f"Entry {number}: {error.message}") from error
        yield entry


def check(entry: NewEntry) -> None:
    """Raise :class:`OwlError` if the queue could not keep `entry`."""
    dataset_name(entry.fileset, "fileset")
    workflow_name(entry.type, "type")
    priority(entry.priority)
    payload_text(entry.payload)
    for name in ("instrument", "reason", "campaign", "requested_by"):
        _check_text(name, getattr(entry, name))
    informs = entry.type in _INFORMATIONAL
    if informs != (entry.state is EntryState.INFORMATIONAL):
        raise OwlError(
            ErrorKind.BAD_CONF,
            f"state {str(entry.state)!r} does not fit type {entry.type!r}: "
            f"{', '.join(sorted(_INFORMATIONAL))} are informational, and nothing else is.",
        )
    if informs and entry.priority:
        raise OwlError(
            ErrorKind.BAD_CONF,
            f"priority {entry.priority} of an informational entry must be 0.",
        )


def payload_text(payload: object) -> str:
    """Return a payload as the JSON object that PostgreSQL keeps; raise OwlError if it is none."""
    if not isinstance(payload, Mapping):
        raise _bad_payload(payload, "a JSON object (names and values)")
    if not payload:
        return "{}"
    try:
        text = json.dumps(dict(payload), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise _bad_payload(payload, f"JSON ({error})") from error
    # json.dumps() escapes everything that is not ASCII; PostgreSQL keeps neither of these.
    if ("\\u0000" in text or "\\ud" in text) and not _is_kept(_unescaped(text)):
        raise _bad_payload(payload, "free of NUL and of half surrogate pairs")
    return text


def _is_kept(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in text


def _unescaped(text: str) -> str:
    """Return all keys and texts of a JSON object as they are."""
    words: list[str] = []
    json.loads(text, object_pairs_hook=lambda pairs: words.extend(map(str, _flat(pairs))))
    return " ".join(words)


def _flat(value: object) -> Iterator[object]:
    if isinstance(value, (list, tuple)):
        for part in value:
            yield from _flat(part)
    else:
        yield value


def _bad_payload(payload: object, rule: str) -> OwlError:
    return OwlError(
        ErrorKind.BAD_CONF, f"payload {str(payload)[:200]!r} must be {rule}. Correct it."
    )


def _check_text(name: str, value: object) -> None:
    if value is None:
        return
    if not isinstance(value, str) or not _is_kept(value):
        raise OwlError(
            ErrorKind.BAD_CONF, f"{name} {value!r} must be a text without NUL. Correct it."
        )


def merged(entries: Iterable[NewEntry]) -> tuple[list[NewEntry], int]:
    """Return each (fileset, type) once, at its first place, and how many were there again.

    The rule is that of the queue itself: highest priority, newest words.
    """
    once: dict[tuple[str, str], NewEntry] = {}
    doubles = 0
    for entry in entries:
        key = (entry.fileset, entry.type)
        if key in once:
            doubles += 1
            once[key] = merge(once[key], entry)
        else:
            once[key] = entry
    return list(once.values()), doubles


def merge(old: NewEntry, new: NewEntry) -> NewEntry:
    """Return what is left of two entries of one fileset and type."""
    return replace(
        old,
        priority=max(old.priority, new.priority),
        payload=new.payload or old.payload,
        instrument=old.instrument if new.instrument is None else new.instrument,
        reason=old.reason if new.reason is None else new.reason,
        campaign=new.campaign if old.campaign is None else old.campaign,
        requested_by=old.requested_by if new.requested_by is None else new.requested_by,
    )


def copy_text(entries: Iterable[NewEntry]) -> io.StringIO:
    """Return the entries in COPY's text format, the columns in the order of the dataclass's SQL."""
    text = io.StringIO()
    for entry in entries:
        columns = (
            entry.fileset,
            entry.type,
            entry.instrument,
            str(entry.priority),
            str(entry.state),
            payload_text(entry.payload),
            entry.reason,
            entry.campaign,
            entry.requested_by,
        )
        text.write("\t".join("\\N" if c is None else c.translate(_ESCAPES) for c in columns))
        text.write("\n")
    text.seek(0)
    return text


_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})
