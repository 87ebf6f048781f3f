"""The console's rows: made from marks, true after every change, in pages without gaps."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg2
import psycopg2.extras
import pytest

from htcondor_operator.blackboard import error_groups, flow_fold, flow_views, flow_walk
from htcondor_operator.blackboard.flow_views import Filter
from htcondor_operator.blackboard.rows import named_rows
from htcondor_operator.exit_codes import exit_codes
from htcondor_operator.mirror.flow import look
from htcondor_operator.vocabulary import OwlError

NAMES = {29: "reference_missing"}


@pytest.fixture
def connection(database: str) -> Iterator[Any]:
    with closing(psycopg2.connect(database)) as connection:
        yield connection


def sql(connection: Any, text: str, **values: Any) -> list[dict[str, Any]]:
    with connection.cursor(cursor_factory=psycopg2.extras.RealDictCursor) as cur:
        cur.execute(text, values)
        return [dict(row) for row in cur.fetchall()] if cur.description else []


def add_run(connection: Any, dataset: str, number: int = 1, workflow: str = "w") -> int:
    run = sql(
        connection,
        "INSERT INTO owl_run (dag_id, run_id, workflow, dataset, state, latest_attempt) VALUES "
        "(%(w)s, %(id)s, %(w)s, %(dataset)s, 'running', 1) RETURNING run_key",
        w=workflow, id=f"{dataset} {number}", dataset=dataset,
    )[0]["run_key"]  # fmt: skip
    sql(
        connection,
        "INSERT INTO owl_attempt (run_key, attempt, kind, state) "
        "VALUES (%(r)s, 1, 'first', 'live')",
        r=run,
    )
    for node in ("A", "B", "C"):
        sql(
            connection,
            "INSERT INTO owl_node (run_key, attempt, node, task_id) "
            "VALUES (%(r)s, 1, %(n)s, %(n)s)",
            r=run, n=node,
        )  # fmt: skip
    return int(run)


def node(connection: Any, run: int, name: str, state: str, **more: Any) -> None:
    values = {"state": state, **more}
    parts = ", ".join(f"{column} = %({column})s" for column in values)
    sql(
        connection,
        f"UPDATE owl_node SET {parts} WHERE run_key = %(r)s AND node = %(n)s",
        r=run, n=name, **values,
    )  # fmt: skip


def row(connection: Any, run: int, names: dict[int, str] | None = None) -> dict[str, Any]:
    with connection, connection.cursor() as cur:
        flow_fold.fold(cur, NAMES if names is None else names)
    return sql(connection, "SELECT * FROM owl_flow WHERE run_key = %(r)s", r=run)[0]


def test_the_row_follows_every_change(connection: Any) -> None:
    run = add_run(connection, "j8bt05njq")
    connection.commit()
    found = row(connection, run)
    assert (found["status"], found["latest"], found["instrument"]) == ("running", True, "ACS")
    assert (found["nodes_total"], found["nodes_done"]) == (3, 0)
    node(connection, run, "A", "done")
    node(connection, run, "B", "running", host="m1")
    assert (row(connection, run)["node"], row(connection, run)["host"]) == ("B", "m1")
    node(connection, run, "B", "failed", exit_code=29)
    sql(connection, "UPDATE owl_run SET state = 'failed' WHERE run_key = %(r)s", r=run)
    found = row(connection, run)
    assert (found["status"], found["node"], found["nodes_done"]) == ("failed", "B", 1)
    assert (found["exit_code"], found["error_kind"]) == (29, "reference_missing")
    # A rescue: the new attempt's nodes count, not the old one's.
    sql(connection, "UPDATE owl_run SET latest_attempt = 2, state = 'rescued'")
    sql(
        connection,
        "INSERT INTO owl_attempt (run_key, attempt, kind, state) "
        "VALUES (%(r)s, 2, 'rescue', 'live')",
        r=run,
    )
    found = row(connection, run)
    assert (found["attempt"], found["node"], found["exit_code"], found["error_kind"]) == (
        2, None, None, None,
    )  # fmt: skip


def test_only_the_newest_run_of_a_dataset_and_workflow_is_the_latest(connection: Any) -> None:
    first, second = add_run(connection, "d1"), add_run(connection, "d1", 2)
    other = add_run(connection, "d1", 1, "v")
    assert row(connection, second)["latest"]
    assert not row(connection, first)["latest"]
    assert row(connection, other)["latest"]
    # Also when the older one is folded after the newer.
    node(connection, first, "A", "running")
    assert not row(connection, first)["latest"]
    third = add_run(connection, "d1", 3)
    assert row(connection, third)["latest"]
    assert not row(connection, second)["latest"]


def test_a_rolled_back_change_leaves_no_mark_and_the_fold_no_debt(connection: Any) -> None:
    run = add_run(connection, "d2")
    connection.commit()
    row(connection, run)
    node(connection, run, "A", "failed")
    connection.rollback()
    assert sql(connection, "SELECT count(*) AS n FROM owl_flow_mark")[0]["n"] == 0
    assert row(connection, run)["node_state"] == "unready"


def test_one_folds_at_a_time_and_nothing_is_lost(connection: Any, database: str) -> None:
    run = add_run(connection, "d3")
    connection.commit()
    with closing(psycopg2.connect(database)) as other, other.cursor() as cur:
        assert flow_fold.fold(cur, NAMES) == 1
        with connection.cursor() as mine:
            assert flow_fold.fold(mine, NAMES) is None
        connection.rollback()
        other.rollback()
    assert row(connection, run)["status"] == "running"


def test_failures_get_the_last_words_of_the_job_and_one_fingerprint_per_cause(
    connection: Any, tmp_path: Path
) -> None:
    runs = []
    for number, dataset in enumerate(("j8bt05njq", "j8bt06o6q", "j8bt09jcq")):
        run = add_run(connection, dataset)
        err = tmp_path / f"{dataset}.err"
        cause = "is missing" if number < 2 else "is damaged"
        err.write_text(
            f"warning\ncalibration: CA: {dataset}_raw.fits: dark_{number}.fits {cause}\n\n"
        )
        node(connection, run, "B", "failed", exit_code=29, err_path=str(err))
        sql(connection, "UPDATE owl_run SET state = 'failed' WHERE run_key = %(r)s", r=run)
        runs.append(run)
    connection.commit()
    look(connection)
    found = [row(connection, run) for run in runs]
    assert found[0]["error_message"].endswith("dark_0.fits is missing")
    assert found[0]["fingerprint"] == found[1]["fingerprint"] != found[2]["fingerprint"]
    # The words stay when something else of the run changes, and go with the failure.
    node(connection, runs[0], "A", "done")
    published = {code: name for code, (name, _) in exit_codes().items()}
    assert row(connection, runs[0], published)["fingerprint"] == found[0]["fingerprint"]
    node(connection, runs[0], "B", "done", exit_code=0)
    assert row(connection, runs[0])["fingerprint"] is None


def test_lag_and_failure_are_of_the_event(connection: Any) -> None:
    run = add_run(connection, "d9")
    node(connection, run, "A", "failed", lag_s=0.25, ended_at="2026-03-04 12:00Z",
         event_at="2026-03-04 12:00Z")  # fmt: skip
    sql(connection, "UPDATE owl_run SET state = 'failed', created_at = '2026-03-04 09:00Z'")
    assert row(connection, run)["lag_s"] == 0.25
    # Something else touches the row an hour later.
    node(connection, run, "A", "failed", priority=5, updated_at="2026-03-04 13:00Z")
    found = row(connection, run)
    assert (found["lag_s"], found["failed_at"]) == (0.25, datetime(2026, 3, 4, 12, tzinfo=UTC))
    with connection, connection.cursor() as cur:
        (group,) = error_groups.groups(cur, Filter(dags=["w"]))
    assert (group["first_at"], group["last_at"]) == (found["failed_at"], found["failed_at"])


def test_what_somebody_removed_is_no_error(connection: Any) -> None:
    words = {
        "d1": ("failed", "exit code 3"),
        "d2": ("removed", "DAGMan was removed: not needed (by ann)"),
        "d3": ("removed", "DAGMan was removed: The job attribute PeriodicRemove expression "
                          "'(JobStatus == 5)' evaluated to TRUE"),
    }  # fmt: skip
    for dataset, (state, message) in words.items():
        run = add_run(connection, dataset)
        sql(
            connection,
            "UPDATE owl_run SET state = %(s)s WHERE run_key = %(r)s;"
            "UPDATE owl_attempt SET state = %(s)s, error_message = %(m)s WHERE run_key = %(r)s",
            s=state, m=message, r=run,
        )  # fmt: skip
        row(connection, run)
    with connection, connection.cursor() as cur:
        found = error_groups.groups(cur, Filter(dags=["w"]))
        assert sum(group["n"] for group in found) == 2
        causes = {(g["node"], g["error_kind"], g["fingerprint"]) for g in found}
        members = [
            one["dataset"]
            for cause in causes
            for one in error_groups.members(cur, Filter(dags=["w"]), cause, most=9)
        ]
        assert sorted(members) == ["d1", "d3"]


@pytest.mark.parametrize("sort", [f"{sign}{name}" for name in flow_views.ORDERS for sign in "- "])
def test_pages_have_every_row_once(connection: Any, sort: str) -> None:
    sort = sort.strip()
    runs = [add_run(connection, f"d{number % 4}", number, f"w{number}") for number in range(23)]
    sql(connection, "UPDATE owl_run SET ended_at = now() WHERE run_key %% 3 = 0")
    connection.commit()
    look(connection)
    seen: list[int] = []
    cursor = None
    with connection.cursor() as cur:
        while True:
            rows, cursor = flow_views.page(cur, Filter(), sort=sort, cursor=cursor, limit=5)
            seen += [r["run_key"] for r in rows]
            if cursor is None:
                break
            assert len(rows) == 5
    assert sorted(seen) == sorted(runs)
    assert len(set(seen)) == len(runs)


def test_filters(connection: Any) -> None:
    one, two = add_run(connection, "j8bt05njq"), add_run(connection, "idkv02abq", 1, "v")
    node(connection, two, "B", "held", hold_reason="no disk")
    connection.commit()
    look(connection)

    def keys(**chosen: Any) -> list[int]:
        with connection.cursor() as cur:
            return flow_views.keys(cur, Filter(**chosen), 10)

    assert keys() == [two, one]
    assert keys(search="j8") == [one]
    assert keys(workflow=["v"]) == [two]
    assert keys(instrument=["ACS"]) == [one]
    assert keys(node=["B"]) == [two]
    assert keys(error=["held"]) == [two]
    assert keys(dags=["w"]) == [one]
    assert keys(dags=[]) == []
    assert keys(run_keys=[one]) == [one]
    with connection.cursor() as cur:
        assert flow_views.totals(cur, Filter()).workflow == {"v": 1, "w": 1}


@pytest.mark.parametrize(
    ("sort", "cursor"), [("nonsense", None), ("-created", "!!"), ("created", "W10")]
)
def test_a_bad_sort_or_cursor_is_refused(connection: Any, sort: str, cursor: str | None) -> None:
    with connection.cursor() as cur, pytest.raises(OwlError):
        flow_views.page(cur, Filter(), sort=sort, cursor=cursor, limit=5)


NOW = datetime.now(UTC)


def _at(steps: float) -> datetime:
    return NOW - timedelta(hours=9 * steps)


FILTERS: tuple[dict[str, Any], ...] = (
    {}, {"workflow": ["v"]}, {"status": ["failed", "held"]},
    {"workflow": ["w"], "status": ["held"]}, {"search": "d1"},
    {"search": "d", "workflow": ["w"]}, {"node": ["B"]}, {"workflow": ["none"]},
    {"since": _at(9)}, {"until": _at(4)}, {"since": _at(8), "until": _at(3)},
    {"until": _at(4), "status": ["held", "done"]}, {"since": _at(8), "search": "d"},
    {"since": _at(3), "until": _at(8)},
)  # fmt: skip


@pytest.mark.parametrize("few", [0, flow_walk.FEW])
@pytest.mark.parametrize("history", [False, True])
def test_pages_are_what_sorting_all_runs_gives(
    connection: Any, monkeypatch: pytest.MonkeyPatch, few: int, history: bool
) -> None:
    """Collected or walked, of all runs or of each workflow and state."""
    monkeypatch.setattr(flow_walk, "FEW", few)
    states = ("failed", "held", "done", "running")
    for number in range(24):
        run = add_run(connection, f"d{number % 5}", number, "vw"[number % 2])
        node(connection, run, "AB"[number % 3 == 0], states[number % 4])
        sql(connection, "UPDATE owl_node SET updated_at = %(at)s", at=_at(20))
        sql(
            connection,
            # Started and ended soon, after more than a day, before (another clock), or not at all.
            "UPDATE owl_run SET state = %(s)s, created_at = %(at)s, "
            "started_at = CASE WHEN %(n)s %% 4 > 0 THEN %(at)s + %(n)s * interval '5 h' END, "
            "ended_at = CASE WHEN %(n)s %% 3 > 0 THEN %(at)s + (%(n)s - 5) * interval '7 h' END, "
            "updated_at = %(at)s + %(r)s %% 7 * interval '6 h' WHERE run_key = %(r)s",
            s=states[number % 4], n=number * 7 % 11, at=_at(number * 7 % 11), r=run,
        )  # fmt: skip
    connection.commit()
    look(connection)
    before_all = datetime(1, 1, 1, tzinfo=UTC)
    found: set[int] = set()
    with connection.cursor() as cur:
        for chosen in FILTERS:
            wanted = Filter(dags=["v", "w"], history=history, **chosen)
            condition, values = flow_views.where(wanted)
            cur.execute(f"SELECT * FROM owl_flow WHERE {condition}", values)
            fitting = named_rows(cur)
            found.add(len(fitting))
            for name, order in flow_views.ORDERS.items():
                for sign in ("", "-"):
                    expected = sorted(
                        fitting,
                        key=lambda r: (*(r[n] or before_all for n in order.names), r["run_key"]),
                        reverse=bool(sign),
                    )
                    seen: list[int] = []
                    cursor = None
                    while True:
                        rows, cursor = flow_views.page(
                            cur, wanted, sort=sign + name, cursor=cursor, limit=4
                        )
                        seen += [row["run_key"] for row in rows]
                        if cursor is None:
                            break
                    assert seen == [row["run_key"] for row in expected], (chosen, sign + name)
    assert len(found) > 6  # the filters are not all the same
