"""SQL of a rescue: which nodes are spared, how they ended, and which are done."""

from __future__ import annotations

from psycopg2.extensions import cursor as Cursor

from htcondor_operator.vocabulary import NodeState


def spared_states(
    cursor: Cursor, run_key: int, attempt: int, predecessor: int
) -> dict[str, NodeState]:
    """Return the spared nodes of an attempt and the state of their last try before it."""
    cursor.execute(
        """
        SELECT n.node, coalesce(p.state, 'unknown')
          FROM owl_node n
          LEFT JOIN LATERAL (
            SELECT o.state FROM owl_node o
             WHERE o.run_key = n.run_key AND o.attempt = %(predecessor)s AND o.node = n.node
             ORDER BY o.try DESC LIMIT 1) p ON true
         WHERE n.run_key = %(run_key)s AND n.attempt = %(attempt)s AND n.spared
        """,
        {"run_key": run_key, "attempt": attempt, "predecessor": predecessor},
    )
    return {node: NodeState(state) for node, state in cursor.fetchall()}


def settle_spared(cursor: Cursor, run_key: int, attempt: int, predecessor: int) -> None:
    """Carry the spared nodes that came to a good end; the others run again.

    The attempt's row is locked first, so that a reader sees all of them settled or none.
    """
    keys = {"run_key": run_key, "attempt": attempt, "predecessor": predecessor}
    cursor.execute(
        "SELECT 1 FROM owl_attempt WHERE run_key = %(run_key)s AND attempt = %(attempt)s "
        "FOR UPDATE",
        keys,
    )
    cursor.execute(
        """
        UPDATE owl_node n
           SET state = 'done', carried_from = %(predecessor)s, spared = false,
               cluster = p.cluster, proc = p.proc, host = p.host, slot = p.slot, owner = p.owner,
               exit_code = p.exit_code, starts = p.starts, submitted_at = p.submitted_at,
               started_at = p.started_at, ended_at = p.ended_at, out_path = p.out_path,
               err_path = p.err_path, log_path = p.log_path, event_at = p.event_at,
               source = p.source, updated_at = now()
          FROM (SELECT DISTINCT ON (node) * FROM owl_node
                 WHERE run_key = %(run_key)s AND attempt = %(predecessor)s
                 ORDER BY node, try DESC) p
         WHERE n.run_key = %(run_key)s AND n.attempt = %(attempt)s AND n.spared
           AND p.node = n.node AND p.state = 'done'
        """,
        keys,
    )
    cursor.execute(
        """
        UPDATE owl_node SET spared = false, updated_at = now()
         WHERE run_key = %(run_key)s AND attempt = %(attempt)s AND spared
        """,
        keys,
    )


def carried_nodes(cursor: Cursor, run_key: int, attempt: int) -> list[str]:
    """Return the nodes that this attempt does not run again."""
    cursor.execute(
        """
        SELECT DISTINCT node FROM owl_node
         WHERE run_key = %(run_key)s AND attempt = %(attempt)s AND carried_from IS NOT NULL
         ORDER BY node
        """,
        {"run_key": run_key, "attempt": attempt},
    )
    return [row[0] for row in cursor.fetchall()]


def record_rescue(
    cursor: Cursor, run_key: int, attempt: int, done: list[str], rescue_file: str | None
) -> None:
    """Write what DAGMan is told: the nodes that are done, and the file that says so."""
    cursor.execute(
        """
        UPDATE owl_attempt SET done_nodes = %(done)s, rescue_file = %(rescue_file)s,
               updated_at = now()
         WHERE run_key = %(run_key)s AND attempt = %(attempt)s
        """,
        {"run_key": run_key, "attempt": attempt, "done": done, "rescue_file": rescue_file},
    )
