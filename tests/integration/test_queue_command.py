from __future__ import annotations

import io
import json
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from htcondor_operator.blackboard.connection import connect_url
from htcondor_operator.blackboard.queue_entries import inform
from htcondor_operator.cli import main
from htcondor_operator.vocabulary import Informational

pytestmark = pytest.mark.database


class Owl:
    """``owl queue ...`` in this process."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch = monkeypatch
        self._capsys = capsys

    def __call__(self, *words: str, stdin: str = "") -> tuple[int, str, str]:
        self._monkeypatch.setattr("sys.stdin", io.StringIO(stdin))
        with pytest.raises(SystemExit) as caught:
            main(["queue", *words])
        out, err = self._capsys.readouterr()
        return int(caught.value.code or 0), out, err

    def json(self, *words: str, stdin: str = "") -> Any:
        code, out, err = self(*words, "--json", stdin=stdin)
        assert code == 0, err
        return json.loads(out)


@pytest.fixture
def owl(database: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Owl:
    monkeypatch.setenv("OWL_DATABASE_URL", database)
    return Owl(monkeypatch, capsys)


def test_add_list_change_and_remove(owl: Owl) -> None:
    told = owl.json("add", "d1", "d2", "--type", "drill", "--priority", "5", "--by", "ann")
    assert told == {"added": 2, "merged": 0, "refused": []}
    assert owl("add", "d2", "d3", "--type", "drill")[1] == "1 added, 1 merged\n"
    assert owl("hold", "d1", "--reason", "look at it", "--by", "ann")[1] == "1 held\n"
    assert owl.json("priority", "50", "d3") == {"changed": 1, "unchanged": 0, "missing": []}
    listed = owl.json("list")
    assert [(e["fileset"], e["priority"], e["state"]) for e in listed["entries"]] == [
        ("d3", 50, "waiting"),
        ("d1", 5, "held"),
        ("d2", 5, "waiting"),
    ]
    assert listed["entries"][1]["reason"] == "look at it"
    assert listed["next"] is None
    assert owl("release", "--type", "drill")[1] == "1 released, 2 left as they were\n"
    code, out, err = owl("remove", "-", "--reason", "tests", stdin="d1\nd2\n\nd9\n")
    assert (code, out, err) == (1, "2 removed\n", "not in the queue: d9\n")
    history = owl.json("history", "--outcome", "removed")
    assert [e["fileset"] for e in history["history"]] == ["d2", "d1"]
    assert all(e["reason"].endswith(": tests") for e in history["history"])
    code, out, _ = owl("show", "d1")
    assert out.startswith("entry 1: d1 for drill: removed\n  priority      5\n")
    assert owl.json("show", "d3")["queue"][0]["fileset"] == "d3"
    assert "never was" in owl("show", "d77")[2]


def test_the_status_table(owl: Owl, database: str) -> None:
    owl("add", "--type", "drill", *(f"d{k}" for k in range(7)))
    owl("add", "--type", "sdp_prearch_wf3", "--priority", "100", "ib1f23qeq")
    owl("remove", "d0", "d1")
    with closing(connect_url(database, application="test")) as own, own, own.cursor() as cur:
        inform(cur, "asn1", Informational.COLLECTING_ASN_SCI, "d5 is missing", requested_by=None)
    rows = [
        (row["priority"], row["type"], row["unshoveled"], row["total"])
        for row in owl.json("status")
    ]
    assert rows == [
        (100, "sdp_prearch_wf3", 1, 1),
        (0, "collecting_asn_sci", 1, 1),
        (0, "drill", 5, 7),
    ]
    lines = owl("status")[1].splitlines()
    assert [word.strip() for word in lines[1].split("┃")[1:5]] == [
        "priority",
        "type",
        "unshoveled",
        "total",
    ]


def test_thousands_from_a_csv_in_one_transaction(owl: Owl, tmp_path: Path) -> None:
    csv = tmp_path / "night.csv"
    lines = [f"n{k:05d},drill,{k % 7},night 7," for k in range(5000)]
    csv.write_text("\n".join(["fileset,type,priority,reason,payload", *lines]))
    assert owl.json("add", "--csv", str(csv))["added"] == 5000
    bad = "\n".join([*lines[:9], "n9,drill,high", *lines])
    code, out, err = owl("add", "--csv", "-", stdin=bad.replace("n0", "m0"))
    assert (code, out) == (2, "")
    assert err == (
        "owl: bad_name: standard input, line 10: priority 'high' is not valid: a whole number "
        "from -10000 to 10000.\nNothing was added.\n"
    )
    assert sum(row["total"] for row in owl.json("status")) == 5000


def test_pages_follow_each_other(owl: Owl) -> None:
    owl("add", "-", "--type", "drill", stdin="".join(f"p{k:03d}\n" for k in range(25)))
    names: list[str] = []
    words: tuple[str, ...] = ()
    while True:
        page = owl.json("list", "p*", "--limit", "10", *words)
        names += [entry["fileset"] for entry in page["entries"]]
        if page["next"] is None:
            break
        words = ("--after", page["next"])
    assert names == [f"p{k:03d}" for k in range(25)]
    assert "more: --after " in owl("list", "--limit", "10")[1]


def test_what_is_in_airflow_is_refused_or_waits(owl: Owl, database: str) -> None:
    owl("add", "d1", "--type", "drill")
    with closing(connect_url(database, application="test")) as own, own, own.cursor() as cur:
        cur.execute(
            """
            WITH gone AS (DELETE FROM owl_queue RETURNING *)
            INSERT INTO owl_queue_history (id, fileset, type, priority, payload, inserted_at,
                                           outcome, dag_id, run_id)
            SELECT id, fileset, type, priority, payload, inserted_at, 'shoveled', type, 'dpq__1'
            FROM gone
            """
        )
    code, out, err = owl("add", "d1", "--type", "drill")
    assert (code, out) == (1, "0 added, 0 merged, 1 refused\n")
    assert err == "refused: d1 is in Airflow as drill dpq__1 and not over\n"
    assert owl.json("add", "d1", "d2", "--type", "drill") == {
        "added": 1,
        "merged": 0,
        "refused": [{"fileset": "d1", "why": "is in Airflow as drill dpq__1 and not over"}],
    }
    assert owl.json("add", "d1", "--type", "drill", "--wait")["added"] == 1


def test_tables_are_not_cut_when_nobody_looks(owl: Owl) -> None:
    owl("add", "ib1f23qeq", "--type", "sdp_prearch_wf3", "--reason", "why " * 60)
    line = [line for line in owl("list")[1].splitlines() if "ib1f23qeq" in line]
    assert len(line) == 1
    assert ("why " * 60).strip() in line[0]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("add",), "No filesets are named. Give some, or --csv FILE."),
        (("add", "d1"), "type '' is not valid"),
        (("add", "d1", "--type", "drill", "--payload", "{"), "payload '{' is not JSON"),
        (("add", "d1", "--type", "drill", "--payload", "[]"), "payload '[]' must be a JSON object"),
        (("add", "--csv", "/nowhere.csv"), "--csv /nowhere.csv: No such file"),
        (("hold",), "Give filesets, --type, --campaign or --all."),
        (("remove", "-"), "standard input names none"),
        (("remove", "a b"), "fileset 'a b' is not valid"),
        (("list", "--state", "done"), "state 'done' must be one of waiting, held"),
        (("history", "--outcome", "held"), "outcome 'held' must be one of shoveled"),
        (("list", "a b*"), "fileset 'a b*' is not valid"),
        (("list", "--limit", "5000"), "limit 5000 must be from 1 to 1000"),
    ],
)
def test_a_mistake_is_one_clear_line(owl: Owl, words: tuple[str, ...], message: str) -> None:
    code, out, err = owl(*words)
    assert (code, out) == (2, "")
    assert message in err
    assert len(err.splitlines()) == 1
