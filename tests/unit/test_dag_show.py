"""`owl dag show`, through its real entrance, on files of many origins."""

import json
import os
from pathlib import Path

import pytest

from htcondor_operator.cli import main

SHARED = Path(
    os.environ.get("OWL_SHARED_DATA", Path(__file__).resolve().parents[3] / "shared" / "data")
)
LOGS = SHARED / "dagman_logs"
REAL = sorted(LOGS.rglob("*.dag"))

needs_shared = pytest.mark.skipif(not REAL, reason="no ../shared/data")


@pytest.fixture
def show(capsys):
    def run(*arguments):
        with pytest.raises(SystemExit) as caught:
            main(["dag", "show", *map(str, arguments)])
        out, err = capsys.readouterr()
        return caught.value.code, out, err

    return run


@pytest.fixture
def dag_file(tmp_path):
    def write(text, name="x.dag"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


def test_json(show, dag_file):
    path = dag_file(
        "JOB A {\nexecutable = /bin/true\n}\nJOB B d DIR x\nSUBMIT-DESCRIPTION d {\nq\n}\n"
        "SUBDAG EXTERNAL C c.dag\nFINAL F f\nPARENT A CHILD B\nWEAK PARENT B CHILD C\n"
        "RETRY B 2 UNLESS-EXIT 3\nCONFIG c.conf\nREJECT\n"
    )
    code, out, _ = show(path, "--json")
    found = json.loads(out)
    nodes = {node["name"]: node for node in found["nodes"]}
    assert code == 0
    assert [node["type"] for node in found["nodes"]] == ["JOB", "JOB", "SUBDAG", "FINAL"]
    assert nodes["A"]["inline"] == "executable = /bin/true\n"
    assert (nodes["B"]["retries"], nodes["B"]["retry_unless_exit"]) == (2, 3)
    assert (nodes["B"]["parents"], nodes["B"]["children"]) == (["A"], ["C"])
    assert found["edges"] == [["A", "B"], ["B", "C"]]
    assert found["weak_edges"] == [["B", "C"]]
    assert found["descriptions"] == {"d": "q\n"}
    assert found["order"] == ["A", "B", "C"]
    assert found["config"] == "c.conf"
    assert found["reject"] == [f"{path}:14"]


def test_table(show, dag_file):
    code, out, _ = show(dag_file("JOB A [red]a.sub NOOP\nJOB B b\nPARENT A CHILD B\nMAXJOBS m 2\n"))
    assert code == 0
    assert "A     JOB   [red]a.sub" in out
    assert "2 nodes (2 in the graph), 1 edges" in out
    assert "MAXJOBS m 2" in out


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("JOB A a\nRETRY A x\n", 2, "RETRY: the number of retries 'x' is not a whole number"),
        ("JOB A a\nPARENT A CHILD A\n", 2, "cycle: A -> A"),
        ("JOB A a\nSPLICE S no.dag\n", 2, "no.dag cannot be read"),
        ("nonsense\n", 1, "'nonsense' is not a DAGMan command"),
        (b"\x7fELF\x00\xff\x1b[31m", 1, "NUL byte"),
    ],
)
def test_errors_are_one_line_with_the_place(show, dag_file, text, line, reason):
    path = dag_file(text)
    code, out, err = show(path)
    assert (code, out) == (2, "")
    assert err.startswith(f"{path}:{line}: ")
    assert reason in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("option", [[], ["--json"]])
def test_odd_bytes_and_control_characters(show, dag_file, option):
    code, out, _ = show(dag_file(b"JOB A\xff\x1b[31m a\n"), *option)
    assert code == 0
    assert "\x1b" not in out
    assert "udcff" in out


@needs_shared
@pytest.mark.parametrize("path", REAL, ids=lambda path: str(path.relative_to(LOGS)))
def test_real_files(show, path):
    code, out, err = show(path, "--json")
    assert (code, err) == (0, "")
    found = json.loads(out)
    declared = [
        words[2 if words[0].upper() == "SUBDAG" else 1]
        for words in map(str.split, path.read_text().splitlines())
        if words and words[0].upper() in {"JOB", "FINAL", "SERVICE", "SUBDAG", "PROVISIONER"}
    ]
    assert [node["name"] for node in found["nodes"] if "+" not in node["name"]] == declared
    assert show(path)[0] == 0


@needs_shared
def test_splice_and_subdag_of_a_real_file(show):
    _, out, _ = show(LOGS / "dag_inputs" / "job_dagman_metrics-A-upper.dag", "--json")
    found = json.loads(out)
    assert len(found["nodes"]) == 13
    assert len(found["edges"]) == 32
    assert [splice["name"] for splice in found["splices"]] == ["B"]
    assert ["B+L1", "C"] in found["edges"]
    assert {n["name"]: n["type"] for n in found["nodes"]}["B+L1"] == "SUBDAG"
