"""A small language that chooses datasets of the catalogue: ``instrument=WFC3 from=2026-01-01``.

Words are ``field operator value``, all of which must hold; a value may be a list (``F606W,F814W``)
of which one must. What is not a field, an operator or a value of the field's kind is refused, and
values go to the database as parameters, never as SQL.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from htcondor_operator.vocabulary import ErrorKind, OwlError

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor

_WORD = re.compile(r"([a-z_]+)(!=|<=|>=|=|<|>|~)(.*)", re.DOTALL)
_EQUALITY = frozenset({"=", "!="})
_ORDER = frozenset({"=", "!=", "<", "<=", ">", ">="})


def moment(text: str) -> datetime:
    """Read an ISO date or time; one without a zone is UTC."""
    value = datetime.fromisoformat(text)
    return value if value.tzinfo else value.replace(tzinfo=UTC)


@dataclass(frozen=True)
class _Field:
    column: str
    kind: Callable[[str], Any]
    operators: frozenset[str]
    fixed: str | None = None
    """Operator that ``=`` stands for (``from``, ``to``)."""


def _text(column: str) -> _Field:
    return _Field(column, str, _EQUALITY | {"~"})


def _number(column: str, kind: Callable[[str], Any] = float) -> _Field:
    return _Field(column, kind, _ORDER)


FIELDS: dict[str, _Field] = {
    "dataset": _text("dataset"),
    "instrument": _text("instrument_name"),
    "detector": _text("detector"),
    "filters": _text("filters"),
    "target": _text("target_name"),
    "proposal": _text("proposal_id"),
    "subtype": _text("dataproduct_subtype"),
    "workflow": _text("workflow"),
    "context": _text("reference_context"),
    "level": _number("calib_level", int),
    "exptime": _number("t_exptime"),
    "ra": _number("s_ra"),
    "dec": _number("s_dec"),
    "observed": _Field("observed_at", moment, _ORDER),
    "archived": _Field("archived_at", moment, _ORDER),
    "from": _Field("observed_at", moment, frozenset({"="}), ">="),
    "to": _Field("observed_at", moment, frozenset({"="}), "<"),
}

CATALOGUE_NAMES = {"WF3": "WFC3", "STI": "STIS"}
"""Short names of instruments that operators use, and the catalogue's."""


@dataclass(frozen=True)
class Condition:
    """One word of a filter: a field, an operator, and the values of which one must match."""

    field: str
    operator: str
    values: tuple[Any, ...]


def parse(text: str, option: str = "--where") -> tuple[Condition, ...]:
    """Read a filter.

    Raises
    ------
    OwlError
        ``BAD_CONF`` with the word, what is wrong with it, and what there is instead.
    """
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise _refused(option, text, f"{error}") from error
    if not words:
        raise _refused(option, text, "it is empty; choose by at least one field")
    return tuple(_condition(option, word) for word in words)


def _condition(option: str, word: str) -> Condition:
    found = _WORD.fullmatch(word)
    if found is None:
        raise _refused(option, word, "write FIELD=VALUE, for instance instrument=WFC3")
    name, operator, rest = found.groups()
    field = FIELDS.get(name)
    if field is None:
        raise _refused(option, word, f"there is no field {name!r}; fields: {', '.join(FIELDS)}")
    if operator not in field.operators:
        allowed = " ".join(sorted(field.operators))
        raise _refused(option, word, f"{name} takes {allowed}, not {operator}")
    texts = rest.split(",")
    if not all(texts):
        raise _refused(option, word, "a value is empty")
    if (len(texts) > 1 and operator not in {"=", "!=", "~"}) or (len(texts) > 1 and field.fixed):
        raise _refused(option, word, f"{name}{operator} takes one value")
    try:
        values = tuple(field.kind(text) for text in texts)
    except ValueError as error:
        kind = "an ISO date or time" if field.kind is moment else "a number"
        raise _refused(option, word, f"{rest!r} is not {kind}") from error
    if name == "instrument":
        values = tuple(CATALOGUE_NAMES.get(value.upper(), value.upper()) for value in values)
    return Condition(name, field.fixed or operator, values)


def _refused(option: str, word: str, why: str) -> OwlError:
    return OwlError(ErrorKind.BAD_CONF, f"{option} {word!r} is not valid: {why}.")


def like(pattern: str) -> str:
    """Return a pattern with ``*`` as one of LIKE's, with LIKE's own signs taken literally."""
    escaped = re.sub(r"([\\%_])", r"\\\1", pattern)
    return escaped.replace("*", "%")


def where(conditions: tuple[Condition, ...]) -> tuple[str, dict[str, Any]]:
    """Return a filter as an SQL condition over ``owl_product p``, and its parameters."""
    parts, parameters = [], {}
    for number, condition in enumerate(conditions):
        column, key = FIELDS[condition.field].column, f"value{number}"
        operator = condition.operator
        if operator == "~":
            parts.append(f"p.{column} ILIKE ANY(%({key})s)")
            parameters[key] = [like(value) for value in condition.values]
        elif operator in _EQUALITY:
            same = f"p.{column} = ANY(%({key})s)"
            parts.append(same if operator == "=" else f"NOT coalesce({same}, false)")
            parameters[key] = list(condition.values)
        else:
            parts.append(f"p.{column} {operator} %({key})s")
            parameters[key] = condition.values[0]
            if column == "observed_at" and operator in {">", ">="}:
                # A dataset is observed when its first exposure begins: an association whose
                # exposures are on both sides of midnight belongs to one day.
                parts.append(
                    _NONE_BEFORE.format(operator="<" if operator == ">=" else "<=", key=key)
                )
    return " AND ".join(parts), parameters


@dataclass(frozen=True)
class Found:
    """A dataset of the catalogue."""

    dataset: str
    instrument: str | None
    members: tuple[str, ...] = ()

    @property
    def is_association(self) -> bool:
        """Whether it was made of other exposures."""
        return bool(self.members)


_NONE_BEFORE = (
    "NOT EXISTS (SELECT FROM owl_product e"
    " WHERE e.dataset = p.dataset AND e.observed_at {operator} %({key})s)"
)
_FIND = """
SELECT p.dataset, min(p.instrument_name), max(p.members) FROM owl_product p WHERE {condition}
 GROUP BY p.dataset ORDER BY min(p.observed_at), p.dataset
"""


def find_datasets(cur: Cursor, conditions: tuple[Condition, ...]) -> list[Found]:
    """Return the datasets with a product for which all conditions hold, the oldest first."""
    condition, parameters = where(conditions)
    cur.execute(_FIND.format(condition=condition), parameters)
    return _found(cur)


def catalogued(cur: Cursor, datasets: Sequence[str]) -> list[Found]:
    """Return those of `datasets` that are in the catalogue."""
    cur.execute(
        _FIND.format(condition="p.dataset = ANY(%(datasets)s)"), {"datasets": list(datasets)}
    )
    return _found(cur)


def _found(cur: Cursor) -> list[Found]:
    return [Found(row[0], row[1], tuple(row[2])) for row in cur.fetchall()]
