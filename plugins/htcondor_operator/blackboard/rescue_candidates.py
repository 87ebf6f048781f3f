"""Failed runs that an automatic rescue may be for, with what was done for them before."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from htcondor_operator.blackboard.campaign_truth import FIRST_FAILURE, FailedMember

if TYPE_CHECKING:
    from collections.abc import Collection

    from psycopg2.extensions import cursor as Cursor

SUBJECT = "run/"
ACTION = "automatic rescue"


@dataclass(frozen=True)
class Candidate:
    """A failed run, nothing of which is alive.

    Parameters
    ----------
    failed
        Where it failed first.
    attempt
        Its latest attempt.
    age_s
        Seconds since it failed.
    rescues
        How often it was rescued automatically.
    removed_by_people
        Whether somebody asked for the removal of the run or of its jobs.
    """

    failed: FailedMember
    attempt: int
    age_s: float
    rescues: int
    removed_by_people: bool

    @property
    def subject(self) -> str:
        """Its name in the audit."""
        return f"{SUBJECT}{self.failed.dag_id}/{self.failed.run_id}"


# A run that was asked for again under another id is the newer run's business; one whose campaign
# was cancelled is nobody's.
_SELECT = f"""
SELECT r.dataset, r.workflow, r.dag_id, r.run_id, r.run_key, a.error_kind, n.node, n.state,
       n.exit_code, n.exit_signal, r.latest_attempt,
       extract(epoch FROM now() - greatest(d.end_date, a.ended_at))::float8,
       (SELECT count(*) FROM owl_audit u
         WHERE u.subject = '{SUBJECT}' || r.dag_id || '/' || r.run_id AND u.action = '{ACTION}'),
       coalesce(n.reason, '') LIKE '%%condor_rm%%'
       OR coalesce(a.error_message, '') LIKE '%%condor_rm%%'
       OR EXISTS (SELECT FROM owl_command c
                   WHERE c.run_key = r.run_key AND c.verb = 'remove'
                     AND c.requested_at >= a.requested_at)
  FROM owl_run r
  JOIN dag_run d ON d.dag_id = r.dag_id AND d.run_id = r.run_id AND d.state = 'failed'
  JOIN owl_attempt a ON a.run_key = r.run_key AND a.attempt = r.latest_attempt
   AND a.state IN ('failed', 'removed', 'refused')
  {FIRST_FAILURE}
 WHERE r.state IN ('failed', 'removed') AND r.mirrored
   AND d.end_date > now() - %(horizon)s * interval '1 second'
   AND (%(keys)s::bigint[] IS NULL OR r.run_key = ANY(%(keys)s))
   AND NOT EXISTS (SELECT FROM owl_node o
                    WHERE o.run_key = r.run_key AND o.attempt = r.latest_attempt
                      AND o.state IN ('submitted', 'idle', 'running', 'held'))
   AND NOT EXISTS (SELECT FROM owl_run later
                    WHERE later.dataset = r.dataset AND later.workflow = r.workflow
                      AND later.run_key > r.run_key)
   AND NOT EXISTS (SELECT FROM owl_queue_history h
                     JOIN owl_campaign c ON c.name = h.campaign AND c.state = 'cancelled'
                    WHERE h.dag_id = r.dag_id AND h.run_id = r.run_id)
"""  # noqa: S608


def candidates(
    cur: Cursor, horizon_s: float, *, keys: Collection[int] | None = None, lock: bool = False
) -> list[Candidate]:
    """Return runs that failed within the horizon, the oldest first.

    Parameters
    ----------
    keys
        Only these runs.
    lock
        Lock them, passing over those that somebody else is busy with.
    """
    cur.execute(
        _SELECT + " ORDER BY d.end_date" + (" FOR UPDATE OF r SKIP LOCKED" if lock else ""),
        {"horizon": horizon_s, "keys": None if keys is None else list(keys)},
    )
    return [Candidate(FailedMember(*row[:10]), *row[10:]) for row in cur.fetchall()]
