"""Failures in ``owl_flow`` that have no words yet, and the words that were found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from psycopg2.extras import execute_values

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor

BATCH = 500


@dataclass(frozen=True)
class Speechless:
    """A failed or held run whose message was not looked for."""

    run_key: int
    dataset: str
    state: str
    error_kind: str | None
    message: str | None
    err_path: str | None


@dataclass(frozen=True)
class Words:
    """What a failure says, and what it has in common with others."""

    run_key: int
    message: str
    fingerprint: str


def without_words(cur: Cursor) -> list[Speechless]:
    """Return failures without a fingerprint. A held job's words are its hold reason."""
    cur.execute(
        """
        SELECT run_key, dataset, status, error_kind, error_message,
               CASE WHEN node_state = 'failed' AND exit_code IS DISTINCT FROM 0 THEN err_path END
          FROM owl_flow
         WHERE latest AND status IN ('failed', 'held', 'removed') AND fingerprint IS NULL
         LIMIT %(most)s
        """,
        {"most": BATCH},
    )
    return [Speechless(*row) for row in cur.fetchall()]


def give(cur: Cursor, words: Sequence[Words]) -> None:
    """Write messages and fingerprints."""
    if words:
        execute_values(
            cur,
            """
            UPDATE owl_flow f SET error_message = v.message, fingerprint = v.fingerprint
              FROM (VALUES %s) AS v(run_key, message, fingerprint)
             WHERE f.run_key = v.run_key
            """,
            [(w.run_key, w.message, w.fingerprint) for w in words],
        )
