"""Writing the archive's catalogue (``owl_product``): set-based, and the same however often."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from psycopg2.extras import Json, execute_values

from htcondor_operator.blackboard.rows import the_row

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor

# Column -> type, of what a manifest says about a product.
_COLUMNS = {
    "dataset": "text",
    "name": "text",
    "obs_id": "text",
    "obs_collection": "text",
    "obs_publisher_did": "text",
    "dataproduct_type": "text",
    "dataproduct_subtype": "text",
    "calib_level": "integer",
    "access_url": "text",
    "access_format": "text",
    "access_estsize": "bigint",
    "bytes": "bigint",
    "sha256": "text",
    "facility_name": "text",
    "instrument_name": "text",
    "detector": "text",
    "filters": "text",
    "target_name": "text",
    "proposal_id": "text",
    "s_ra": "double precision",
    "s_dec": "double precision",
    "t_min": "double precision",
    "t_max": "double precision",
    "t_exptime": "double precision",
    "observed_at": "timestamptz",
    "members": "text[]",
    "reference_context": "text",
    "reference_files": "jsonb",
    "reference_keys": "jsonb",
    "software": "jsonb",
    "raw_sha256": "text",
    "archived_at": "timestamptz",
}
_MADE = ("workflow", "template_hash", "run_key", "attempt")
_VALUES = [column for column in _COLUMNS if column not in ("dataset", "name")]
_KEPT = "CASE WHEN p.sha256 = excluded.sha256 AND p.run_key IS NOT NULL"


def _list(prefix: str, columns: Iterable[str]) -> str:
    return ", ".join(f"{prefix}{column}" for column in columns)


# Who made a file is the run of the dataset that was under way when it came into the archive. The
# clocks of the access point and of the machines that run jobs may differ a little.
_UPSERT = f"""
INSERT INTO owl_product AS p ({_list("", _COLUMNS)}, {_list("", _MADE)})
SELECT {_list("d.", [column for column in _COLUMNS if column != "archived_at"])},
       coalesce(d.archived_at, now()), {_list("made.", _MADE)}
FROM jsonb_to_recordset(%(rows)s)
     AS d ({", ".join(f"{column} {kind}" for column, kind in _COLUMNS.items())})
LEFT JOIN LATERAL (
    SELECT r.workflow, r.template_hash, r.run_key, a.attempt
    FROM owl_run r JOIN owl_attempt a USING (run_key)
    WHERE r.dataset IN (d.dataset, upper(d.dataset))
      AND coalesce(a.submitted_at, a.requested_at) - %(slack)s <= d.archived_at
      AND coalesce(a.ended_at, 'infinity') + %(slack)s >= d.archived_at
    ORDER BY a.requested_at DESC, r.run_key DESC LIMIT 1
) made ON true
ORDER BY d.dataset, d.name
ON CONFLICT (dataset, name) DO UPDATE
SET {", ".join(f"{column} = excluded.{column}" for column in _VALUES)},
    {", ".join(f"{name} = {_KEPT} THEN p.{name} ELSE excluded.{name} END" for name in _MADE)},
    verified_at = CASE WHEN p.sha256 = excluded.sha256 THEN p.verified_at END,
    fault = CASE WHEN p.sha256 = excluded.sha256 THEN p.fault END
WHERE ({_list("p.", _VALUES)}) IS DISTINCT FROM ({_list("excluded.", _VALUES)})
   OR p.run_key IS NULL AND excluded.run_key IS NOT NULL
"""  # noqa: S608 - constants of this module
_SLACK = timedelta(seconds=5)


def upsert_products(cur: Cursor, rows: Sequence[Mapping[str, Any]]) -> int:
    """Write what manifests say; return how many rows are new or changed.

    Parameters
    ----------
    cur
        The caller owns the transaction.
    rows
        As :func:`htcondor_operator.mirror.manifest.rows_of` makes them, of any number of datasets.
    """
    if not rows:
        return 0
    cur.execute(_UPSERT, {"rows": Json(list(rows)), "slack": _SLACK})
    return cur.rowcount


def forget_products(cur: Cursor, dataset: str, names: Iterable[str]) -> int:
    """Delete a dataset's rows but those of `names`; return how many there were."""
    cur.execute(
        "DELETE FROM owl_product WHERE dataset = %(dataset)s AND name <> ALL (%(names)s::text[])",
        {"dataset": dataset, "names": list(names)},
    )
    return cur.rowcount


def catalogued_until(cur: Cursor) -> datetime | None:
    """Return when the newest product came into the archive; None if there is none.

    That is told by the clock of the machine that the node ran on: it may be ahead of ours.
    """
    cur.execute("SELECT max(least(archived_at, now())) FROM owl_product")
    newest: datetime | None = the_row(cur)[0]
    return newest


_NEWS = """
SELECT r.dataset, max(n.updated_at)
FROM owl_node n JOIN owl_run r USING (run_key)
WHERE n.updated_at > %(since)s AND n.state IN ('done', 'failed')
GROUP BY r.dataset
"""


def datasets_with_news(cur: Cursor, since: datetime | None) -> dict[str, datetime]:
    """Return the datasets of which a node has ended since then, with the time of the latest."""
    cur.execute(_NEWS, {"since": since or "-infinity"})
    return {str(dataset): moment for dataset, moment in cur.fetchall()}


def be_the_only_one(cur: Cursor) -> bool:
    """Whether nobody else writes the catalogue; nobody will before the transaction's end."""
    cur.execute("SELECT pg_try_advisory_xact_lock(hashtext('owl_product'), 0)")
    return bool(the_row(cur)[0])


def save_verdicts(cur: Cursor, verdicts: Sequence[tuple[int, str, str | None]]) -> int:
    """Write what verification found: row, sha256 that was expected, fault (None: all is well).

    A row whose file was replaced meanwhile is left alone. Return how many rows were written.
    """
    if not verdicts:
        return 0
    written = execute_values(
        cur,
        """
        UPDATE owl_product p SET verified_at = now(), fault = v.fault
        FROM (VALUES %s) AS v (id, sha256, fault)
        WHERE p.id = v.id AND p.sha256 = v.sha256
        RETURNING p.id
        """,
        verdicts,
        template="(%s::bigint, %s::text, %s::text)",
        page_size=1000,
        fetch=True,
    )
    return len(written)
