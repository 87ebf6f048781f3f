"""Reading the archive's catalogue (``owl_product``); :mod:`.catalogue_rows` writes it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor

_ARCHIVED = """
SELECT DISTINCT p.obs_id
FROM unnest(%(names)s::text[], %(digests)s::text[]) AS wanted (name, sha256)
JOIN owl_product p ON p.obs_id = lower(wanted.name) AND p.raw_sha256 = wanted.sha256
WHERE p.calib_level >= 2 AND p.dataproduct_subtype NOT IN ('preview', 'thumb') AND p.fault IS NULL
"""


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
