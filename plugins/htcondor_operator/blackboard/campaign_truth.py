"""How far campaigns are: members joined with queue, history, DAG runs and runs, when asked.

Nothing is counted up anywhere, so a rescued run counts as running again by itself.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from htcondor_operator.blackboard.removals import ON_PURPOSE
from htcondor_operator.blackboard.rows import named_rows, the_row
from htcondor_operator.vocabulary import CampaignState, MemberState

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from psycopg2.extensions import cursor as Cursor

MEMBERS = f"""
SELECT m.campaign, m.part, m.fileset, m.type, m.entry, m.note, m.put_at,
       h.dag_id, h.run_id, h.left_at,
       coalesce(d.end_date, h.ended_at) AS ended_at,
       CASE WHEN m.entry IS NULL THEN 'refused'
            WHEN q.id IS NOT NULL THEN q.state
            WHEN h.id IS NULL THEN 'unknown'
            WHEN h.run_id IS NULL THEN h.outcome
            WHEN d.state = 'queued' THEN 'starting'
            WHEN d.state = 'running' THEN 'running'
            WHEN d.state = 'success' THEN 'done'
            WHEN d.state = 'failed' AND {ON_PURPOSE.format(dag_id="d.dag_id", run_id="d.run_id")}
            THEN 'removed'
            WHEN d.state = 'failed' THEN 'failed'
            WHEN h.outcome = 'shoveled' THEN 'unknown'
            ELSE h.outcome END AS state
  FROM owl_campaign_member m
  LEFT JOIN owl_queue q ON q.id = m.entry
  LEFT JOIN owl_queue_history h ON h.id = m.entry
  LEFT JOIN dag_run d ON d.dag_id = h.dag_id AND d.run_id = h.run_id
"""  # noqa: S608
"""All members with their states; a history row outlives its DAG run, and then has the last word.

Airflow has no word for a run that somebody took out of HTCondor: its DAG run has failed.
"""

MORE_TO_COME = """
EXISTS (SELECT FROM backfill b
         WHERE c.source = 'backfill' AND b.id = (c.detail ->> 'backfill')::bigint
           AND b.completed_at IS NULL)
"""
"""Whether the backfill of campaign ``c`` goes on: days that have not begun have no members yet."""


@dataclass(frozen=True)
class Progress:
    """How far a campaign is.

    Parameters
    ----------
    counts
        Members by state.
    ended_lately
        Members that have ended in the last hour.
    first_left_at, last_ended_at
        When the first entry left the queue, and when the last run ended.
    now
        The database's time.
    more_to_come
        Whether its backfill has days that have not begun.
    """

    counts: Mapping[MemberState, int]
    ended_lately: int
    first_left_at: datetime | None
    last_ended_at: datetime | None
    now: datetime
    more_to_come: bool = False

    @property
    def total(self) -> int:
        """Members that were put in."""
        return sum(n for state, n in self.counts.items() if state is not MemberState.REFUSED)

    @property
    def open(self) -> int:
        """Members whose end is still to come."""
        return sum(n for state, n in self.counts.items() if state.is_open)

    @property
    def ended(self) -> int:
        """Members that have ended, however."""
        return self.total - self.open

    @property
    def rate_per_hour(self) -> float | None:
        """Ends per hour, over the last hour or the time since the first left the queue."""
        if self.first_left_at is None or not self.ended_lately:
            return None
        seconds = min(3600.0, max(1.0, (self.now - self.first_left_at).total_seconds()))
        return self.ended_lately * 3600.0 / seconds

    @property
    def eta_s(self) -> float | None:
        """Seconds until all have ended, at the present rate; None when that is not known."""
        if not self.open:
            return 0.0
        rate = self.rate_per_hour
        return None if rate is None else self.open * 3600.0 / rate

    def shown_state(self, kept: CampaignState) -> CampaignState:
        """Return the state that people see: a running campaign with nothing open is done."""
        if kept is CampaignState.RUNNING and not self.open and not self.more_to_come:
            return CampaignState.DONE
        return kept


def progress(cur: Cursor, name: str) -> Progress:
    """Return how far a campaign is."""
    cur.execute(
        f"""
        SELECT state, count(*), count(*) FILTER (WHERE ended_at > now() - interval '1 hour'),
               min(left_at) FILTER (WHERE run_id IS NOT NULL), max(ended_at)
          FROM ({MEMBERS} WHERE m.campaign = %(name)s) t GROUP BY state
        """,  # noqa: S608
        {"name": name},
    )
    rows = [(MemberState(row[0]), *row[1:]) for row in cur.fetchall()]
    cur.execute(
        f"SELECT now(), {MORE_TO_COME} FROM owl_campaign c WHERE name = %(name)s",  # noqa: S608
        {"name": name},
    )
    now, more_to_come = the_row(cur)
    over = [row for row in rows if not row[0].is_open]
    return Progress(
        counts={row[0]: row[1] for row in rows},
        ended_lately=sum(row[2] for row in over),
        first_left_at=min((row[3] for row in rows if row[3]), default=None),
        last_ended_at=max((row[4] for row in over if row[4]), default=None),
        now=now,
        more_to_come=more_to_come,
    )


def members(
    cur: Cursor,
    name: str,
    *,
    states: tuple[MemberState, ...] = (),
    after: str = "",
    limit: int = 1_000_000,
) -> list[dict[str, Any]]:
    """Return a campaign's members by name, those in `states` only."""
    cur.execute(
        f"""
        SELECT * FROM ({MEMBERS} WHERE m.campaign = %(name)s AND m.fileset > %(after)s) t
         WHERE %(all)s OR state = ANY(%(states)s) ORDER BY fileset, part LIMIT %(limit)s
        """,  # noqa: S608
        {
            "name": name,
            "after": after,
            "all": not states,
            "states": [str(state) for state in states],
            "limit": limit,
        },
    )
    return named_rows(cur)


@dataclass(frozen=True)
class Counts:
    """Members of a campaign that are open, done and failed."""

    open: int = 0
    done: int = 0
    failed: int = 0


def overview(
    cur: Cursor,
    *,
    state: str | None = None,
    limit: int = 100,
    known: Mapping[str, Counts] | None = None,
) -> list[dict[str, Any]]:
    """Return campaigns, the newest first, with how many members are open, done and failed.

    Parameters
    ----------
    known
        Numbers that need not be counted again.
    """
    cur.execute(
        f"""
        SELECT c.name, c.type, c.state, c.priority, c.total, c.source, c.reason, c.created_by,
               c.approved_by, c.created_at, {MORE_TO_COME} AS more_to_come
          FROM owl_campaign c WHERE %(state)s::text IS NULL OR state = %(kept)s
         ORDER BY c.created_at DESC, c.name LIMIT %(limit)s
        """,  # noqa: S608
        # "done" is a running one with nothing open.
        {"state": state, "kept": "running" if state == "done" else state, "limit": limit},
    )
    rows = named_rows(cur)
    found = dict(known or {})
    found |= counts(cur, [row["name"] for row in rows if row["name"] not in found])
    for row in rows:
        row.update(asdict(found[row["name"]]))
        more = row.pop("more_to_come")
        if row["state"] == CampaignState.RUNNING and not row["open"] and not more:
            row["state"] = str(CampaignState.DONE)
    return [row for row in rows if state is None or row["state"] == state]


def counts(cur: Cursor, names: Sequence[str]) -> dict[str, Counts]:
    """Return the numbers of campaigns' members."""
    if not names:
        return {}
    cur.execute(
        f"""
        SELECT c.name, t.open, t.done, t.failed
          FROM unnest(%(names)s::text[]) c (name) CROSS JOIN LATERAL (
            SELECT count(*) FILTER (WHERE state = ANY(%(open)s)) AS open,
                   count(*) FILTER (WHERE state = 'done') AS done,
                   count(*) FILTER (WHERE state = 'failed') AS failed
              FROM ({MEMBERS} WHERE m.campaign = c.name) m) t
        """,  # noqa: S608
        {"names": list(names), "open": [str(each) for each in MemberState if each.is_open]},
    )
    return {row[0]: Counts(*row[1:]) for row in cur.fetchall()}


@dataclass(frozen=True)
class FailedMember:
    """A failed run of a campaign, and where it failed first."""

    fileset: str
    type: str
    dag_id: str
    run_id: str
    run_key: int | None
    error_kind: str | None
    node: str | None
    node_state: str | None
    exit_code: int | None
    exit_signal: int | None


FIRST_FAILURE = """
  LEFT JOIN LATERAL (
    SELECT node, state, exit_code, exit_signal, reason FROM owl_node o
     WHERE o.run_key = r.run_key AND o.attempt = r.latest_attempt
       AND o.state IN ('failed', 'removed')
     ORDER BY (o.state = 'failed') DESC, o.ended_at NULLS LAST, o.try DESC LIMIT 1) n ON true
"""
"""The node that failed first in the latest attempt of run ``r``; removed ones follow."""


def failed_members(cur: Cursor, name: str) -> list[FailedMember]:
    """Return a campaign's failed runs."""
    cur.execute(
        f"""
        SELECT t.fileset, t.type, t.dag_id, t.run_id, r.run_key, a.error_kind, n.node, n.state,
               n.exit_code, n.exit_signal
          FROM ({MEMBERS} WHERE m.campaign = %(name)s) t
          LEFT JOIN owl_run r ON r.dag_id = t.dag_id AND r.run_id = t.run_id
          LEFT JOIN owl_attempt a ON a.run_key = r.run_key AND a.attempt = r.latest_attempt
          {FIRST_FAILURE}
         WHERE t.state = 'failed' AND t.run_id IS NOT NULL ORDER BY t.fileset
        """,  # noqa: S608
        {"name": name},
    )
    return [FailedMember(*row) for row in cur.fetchall()]


@dataclass(frozen=True)
class OpenRun:
    """A DAG run of a campaign that is not over, and its run if it has been launched."""

    fileset: str
    dag_id: str
    run_id: str
    run_key: int | None


def open_runs(cur: Cursor, name: str) -> list[OpenRun]:
    """Return the runs that are open for a campaign's own entries (not those that it joined)."""
    cur.execute(
        f"""
        SELECT t.fileset, t.dag_id, t.run_id, r.run_key
          FROM ({MEMBERS} WHERE m.campaign = %(name)s AND h.campaign = %(name)s) t
          LEFT JOIN owl_run r ON r.dag_id = t.dag_id AND r.run_id = t.run_id
         WHERE t.state IN ('starting', 'running') ORDER BY t.fileset
        """,  # noqa: S608
        {"name": name},
    )
    return [OpenRun(*row) for row in cur.fetchall()]


def live_runs(cur: Cursor, runs: Collection[tuple[str, str]]) -> list[int]:
    """Return those of `runs` (DAG id, run id) that are in HTCondor or on their way to it."""
    cur.execute(
        """
        SELECT r.run_key FROM unnest(%(dags)s::text[], %(runs)s::text[]) AS u (dag_id, run_id)
          JOIN owl_run r USING (dag_id, run_id)
          JOIN owl_attempt a ON a.run_key = r.run_key AND a.attempt = r.latest_attempt
         WHERE a.state IN ('wanted', 'clearing', 'submitting', 'live')
        """,
        {"dags": [dag for dag, _ in runs], "runs": [run for _, run in runs]},
    )
    return [row[0] for row in cur.fetchall()]
