"""Reading the archive's catalogue (``owl_product``); ``catalogue_rows`` writes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from htcondor_operator.blackboard.rows import named_rows, the_row

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor

# The queue's words for instruments and the headers' are not always the same.
_ALIASES = {"WF3": "WFC3", "STI": "STIS"}

_SCIENCE = "calib_level >= 2 AND dataproduct_subtype NOT IN ('preview', 'thumb', 'trailer')"

_ARCHIVED = f"""
SELECT DISTINCT p.obs_id
FROM unnest(%(names)s::text[], %(digests)s::text[]) AS wanted (name, sha256)
JOIN owl_product p ON p.obs_id = lower(wanted.name) AND p.raw_sha256 = wanted.sha256
WHERE {_SCIENCE} AND p.fault IS NULL
"""  # noqa: S608 - a constant of this module


def archived_members(cur: Cursor, members: Mapping[str, str | None]) -> set[str]:
    """Return the members whose product of the same raw file is in the archive.

    Parameters
    ----------
    cur
        The caller owns the transaction.
    members
        Name of each exposure and the sha256 of its raw file as it was delivered; a member whose
        digest is not known is never taken for archived.
    """
    known = {name: digest for name, digest in members.items() if digest}
    cur.execute(_ARCHIVED, {"names": list(known), "digests": list(known.values())})
    found = {str(row[0]) for row in cur.fetchall()}
    return {name for name in known if name.lower() in found}


def header_instrument(name: str) -> str:
    """Return an instrument's name as headers and the catalogue have it."""
    return _ALIASES.get(name.upper(), name.upper())


@dataclass(frozen=True)
class Filters:
    """Which products are listed; None: all."""

    dataset: str | None = None
    instrument: str | None = None
    start: datetime | None = None
    end: datetime | None = None
    level: int | None = None
    kind: str | None = None
    subtype: str | None = None
    faulty: bool = False


_LIST = """
SELECT id, obs_id, dataset, name, dataproduct_type, dataproduct_subtype, calib_level, bytes,
       instrument_name, detector, filters, target_name, observed_at, t_exptime, workflow, run_key,
       attempt, archived_at, verified_at, fault
FROM owl_product
WHERE id > %(after)s
  AND (%(dataset)s IS NULL OR dataset LIKE %(dataset)s)
  AND (%(instrument)s IS NULL OR instrument_name = %(instrument)s)
  AND (%(start)s::timestamptz IS NULL OR observed_at >= %(start)s)
  AND (%(end)s::timestamptz IS NULL OR observed_at < %(end)s)
  AND (%(level)s::integer IS NULL OR calib_level = %(level)s)
  AND (%(kind)s IS NULL OR dataproduct_type = %(kind)s)
  AND (%(subtype)s IS NULL OR dataproduct_subtype = %(subtype)s)
  AND (NOT %(faulty)s OR fault IS NOT NULL)
ORDER BY id LIMIT %(limit)s
"""


def list_products(
    cur: Cursor, filters: Filters, *, after: int = 0, limit: int = 100
) -> list[dict[str, Any]]:
    """Return one page of the catalogue: products with an id above `after`.

    ``filters.dataset`` may have the wildcards ``*`` and ``?``.
    """
    named = filters.instrument
    values = {
        **vars(filters),
        "dataset": _like(filters.dataset) if filters.dataset else None,
        "instrument": header_instrument(named) if named else None,
        "after": after,
        "limit": limit,
    }
    cur.execute(_LIST, values)
    return named_rows(cur)


def _like(pattern: str) -> str:
    """Return a shell pattern as SQL's LIKE has it."""
    escaped = pattern.lower().replace("\\", r"\\").replace("%", r"\%").replace("_", r"\_")
    return escaped.replace("*", "%").replace("?", "_")


def show_dataset(cur: Cursor, dataset: str) -> list[dict[str, Any]]:
    """Return everything about the products of a dataset."""
    cur.execute(
        "SELECT * FROM owl_product WHERE dataset = %(dataset)s ORDER BY obs_id, name",
        {"dataset": dataset.lower()},
    )
    return named_rows(cur)


_DUE = """
    (%(dataset)s IS NULL OR dataset = %(dataset)s)
    AND (%(age)s::interval IS NULL OR verified_at IS NULL
         OR verified_at < now() - %(age)s::interval)
"""
_TO_VERIFY = f"""
SELECT id, dataset, name, sha256, bytes FROM owl_product
WHERE (dataset, name) > (%(after_dataset)s, %(after_name)s) AND {_DUE}
ORDER BY dataset, name LIMIT %(limit)s
"""  # noqa: S608 - a constant of this module


@dataclass(frozen=True)
class Due:
    """Which files are to be verified: of one dataset or all, and not verified for so long."""

    dataset: str | None = None
    older_than: timedelta | None = None

    def values(self) -> dict[str, Any]:
        """Return the parameters of the statements."""
        return {
            "dataset": self.dataset.lower() if self.dataset else None,
            "age": self.older_than,
        }


def size_to_verify(cur: Cursor, due: Due) -> tuple[int, int]:
    """Return how many files and bytes are to be verified."""
    cur.execute(
        f"SELECT count(*), coalesce(sum(bytes), 0) FROM owl_product WHERE {_DUE}",  # noqa: S608
        due.values(),
    )
    files, size = the_row(cur)
    return int(files), int(size)


def products_to_verify(
    cur: Cursor, due: Due, *, after: tuple[str, str] = ("", ""), limit: int = 1000
) -> list[dict[str, Any]]:
    """Return a page of the files to be verified, beyond (dataset, name) `after`."""
    page = {"after_dataset": after[0], "after_name": after[1], "limit": limit}
    cur.execute(_TO_VERIFY, {**due.values(), **page})
    return named_rows(cur)
