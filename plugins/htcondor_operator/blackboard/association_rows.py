"""SQL of the collection of associations (``owl_association``, ``owl_association_member``)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg2.extensions import cursor as Cursor
from psycopg2.extras import Json, execute_values

from htcondor_operator.blackboard.rows import named_rows, the_row
from htcondor_operator.vocabulary import AssociationState


@dataclass(frozen=True)
class AssociationRow:
    """An association with its members."""

    association: str
    type: str
    state: AssociationState
    complete_list: bool
    deadline: datetime | None
    members: tuple[dict[str, Any], ...]


def open_association(
    cur: Cursor, association: str, type_: str, *, priority: int, seconds: float
) -> None:
    """Begin to collect an association, if it is not known; lock it."""
    cur.execute(
        """
        INSERT INTO owl_association AS a (association, type, state, priority, deadline)
        VALUES (%(association)s, %(type)s, 'collecting', %(priority)s,
                now() + %(seconds)s * interval '1 second')
        ON CONFLICT (association, type) DO UPDATE SET priority = excluded.priority
        """,
        {"association": association, "type": type_, "priority": priority, "seconds": seconds},
    )


def reopen(cur: Cursor, association: str, type_: str, seconds: float) -> None:
    """Collect an association again that has gone on before, because something new has come."""
    cur.execute(
        """
        UPDATE owl_association
        SET state = 'collecting', deadline = now() + %(seconds)s * interval '1 second',
            updated_at = now()
        WHERE association = %(association)s AND type = %(type)s AND state <> 'collecting'
        """,
        {"association": association, "type": type_, "seconds": seconds},
    )


def add_member(cur: Cursor, association: str, type_: str, member: str, sha256: str | None) -> bool:
    """Write that an exposure has arrived whose header names the association.

    Returns
    -------
    bool
        Whether it takes part: the table lists it, or there is none yet.
    """
    cur.execute(
        """
        INSERT INTO owl_association_member AS m
            (association, type, member, expected, arrived_at, sha256)
        SELECT association, type, %(member)s, NOT complete_list, now(), %(sha256)s
        FROM owl_association WHERE association = %(association)s AND type = %(type)s
        ON CONFLICT (association, type, member) DO UPDATE
        SET arrived_at = now(), sha256 = COALESCE(excluded.sha256, m.sha256)
        RETURNING expected OR role IS NOT NULL
        """,
        {"association": association, "type": type_, "member": member, "sha256": sha256},
    )
    return bool(the_row(cur)[0])


def set_table(
    cur: Cursor, association: str, type_: str, members: Sequence[tuple[str, str, bool]]
) -> None:
    """Take an association table: (name, role, present) of its exposures, and nobody else."""
    key = {"association": association, "type": type_}
    cur.execute(
        "UPDATE owl_association SET complete_list = true"
        " WHERE association = %(association)s AND type = %(type)s",
        key,
    )
    cur.execute(
        "UPDATE owl_association_member SET expected = false, role = NULL"
        " WHERE association = %(association)s AND type = %(type)s",
        key,
    )
    execute_values(
        cur,
        """
        INSERT INTO owl_association_member (association, type, member, role, expected) VALUES %s
        ON CONFLICT (association, type, member) DO UPDATE
        SET role = excluded.role, expected = excluded.expected
        """,
        [(association, type_, *member) for member in sorted(members)],
    )


def due(cur: Cursor, type_: str) -> list[str]:
    """Return, locked, the associations whose deadline is over."""
    cur.execute(
        "SELECT association FROM owl_association WHERE state = 'collecting' AND type = %(type)s"
        " AND deadline <= now() ORDER BY association FOR UPDATE",
        {"type": type_},
    )
    return [str(row[0]) for row in cur.fetchall()]


def load(cur: Cursor, type_: str, names: Sequence[str]) -> list[AssociationRow]:
    """Return associations with their members, both in the order of their names."""
    cur.execute(
        """
        SELECT a.association, a.type, a.state, a.complete_list, a.deadline,
               COALESCE(json_agg(json_build_object(
                   'name', m.member, 'role', m.role, 'expected', m.expected,
                   'arrived', m.arrived_at IS NOT NULL, 'sha256', m.sha256) ORDER BY m.member)
                   FILTER (WHERE m.member IS NOT NULL), '[]') AS members
        FROM owl_association AS a LEFT JOIN owl_association_member AS m USING (association, type)
        WHERE a.type = %(type)s AND a.association = ANY(%(names)s)
        GROUP BY a.association, a.type ORDER BY a.association
        """,
        {"type": type_, "names": list(names)},
    )
    return [
        AssociationRow(
            **row | {"state": AssociationState(row["state"]), "members": tuple(row["members"])}
        )
        for row in named_rows(cur)
    ]


def set_state(
    cur: Cursor,
    association: str,
    type_: str,
    state: AssociationState,
    payload: Mapping[str, Any] | None = None,
) -> None:
    """Write how far a collection is, and with which payload it went on."""
    cur.execute(
        "UPDATE owl_association SET state = %(state)s, updated_at = now(),"
        " payload = COALESCE(%(payload)s, payload)"
        " WHERE association = %(association)s AND type = %(type)s",
        {
            "association": association,
            "type": type_,
            "state": state.value,
            "payload": None if payload is None else Json(dict(payload)),
        },
    )


def extend(cur: Cursor, association: str, type_: str, seconds: float) -> None:
    """Give an association that nobody has come for a new deadline."""
    cur.execute(
        "UPDATE owl_association SET deadline = now() + %(seconds)s * interval '1 second',"
        " updated_at = now() WHERE association = %(association)s AND type = %(type)s",
        {"association": association, "type": type_, "seconds": seconds},
    )


def now(cur: Cursor) -> datetime:
    """Return the database's time, by which deadlines are kept."""
    cur.execute("SELECT now()")
    moment: datetime = the_row(cur)[0]
    return moment
