from __future__ import annotations

from datetime import UTC, datetime

import pytest

from htcondor_operator.dagman.offline import Files, fold_files
from htcondor_operator.dagman.parser import parse_dag
from htcondor_operator.dagman.sources.node_status import Status, parse_node_status
from htcondor_operator.dagman.sources.nodes_log import parse_nodes_log
from htcondor_operator.dagman.sources.rescue_file import parse_rescue_states

WORDS = """000 (012.000.000) {when} Job submitted from host: <127.0.0.1:1?alias=m>
    {node}
...
001 (012.000.000) {when} Job executing on host: <127.0.0.1:1?alias=m>
\tSlotName: slot1_1@m
...
005 (012.000.000) {when} Job terminated.
\t(1) Normal termination (return value 3)
\t\tUsr 0 00:00:05, Sys 0 00:00:01  -  Run Remote Usage
\t\tUsr 0 00:00:06, Sys 0 00:00:02  -  Total Remote Usage
\tPartitionable Resources :    Usage  Request Allocated
\t   Disk (KB)            :     2048        1      2048
\t   Memory (MB)          :       17      128       128
...
"""


@pytest.mark.parametrize(
    ("when", "expected", "utc"),
    [
        ("11/22 21:28:10", datetime(2024, 11, 22, 21, 28, 10, tzinfo=UTC), False),
        ("11/22/26 21:28:10", datetime(2026, 11, 22, 21, 28, 10, tzinfo=UTC), False),
        ("2026-11-22 21:28:10", datetime(2026, 11, 22, 21, 28, 10, tzinfo=UTC), False),
        ("2026-11-22 21:28:10.250", datetime(2026, 11, 22, 21, 28, 10, 250000, UTC), False),
        ("2026-11-22 21:28:10.990Z", datetime(2026, 11, 22, 21, 28, 10, 990000, UTC), True),
        ("2026-11-22T21:28:10Z", datetime(2026, 11, 22, 21, 28, 10, tzinfo=UTC), True),
    ],
)
@pytest.mark.parametrize("node", ["DAG Node: A", '[ DAGNodeName = "A"; JobBatchName = "b" ]'])
def test_nodes_log_formats(when: str, expected: datetime, utc: bool, node: str) -> None:
    log = parse_nodes_log(WORDS.format(when=when, node=node), year=2024)
    assert [event.node for event in log.events] == ["A", "A", "A"]
    assert {event.time for event in log.events} == {expected}
    assert log.utc is utc
    outcome = fold_files(Files(nodes_log=WORDS.format(when=when, node=node), year=2024))
    known = outcome.nodes["A"].node
    assert (known.state.value, known.exit_code, known.host, known.slot) == (
        "failed", 3, "m", "slot1_1",
    )  # fmt: skip
    assert (known.cpu_user_s, known.memory_peak_mb, known.disk_mb) == (6.0, 17.0, 2.0)


def test_an_event_that_is_being_written_is_left_out() -> None:
    text = WORDS.format(when="2026-11-22 21:28:10", node="DAG Node: A")
    cut = text[: text.index("005 (") + 60]
    assert fold_files(Files(nodes_log=cut)).nodes["A"].node.state.value == "running"


def test_noop_nodes_are_told_apart_by_subproc() -> None:
    text = "".join(
        f"000 (000.2147483647.00{n}) 2026-11-22 21:28:17 Job submitted from host: <x>\n"
        f"    DAG Node: N{n}\n...\n"
        for n in (1, 2)
    ) + (
        "005 (000.2147483647.002) 2026-11-22 21:28:18 Job terminated.\n"
        "\t(1) Normal termination (return value 0)\n...\n"
    )
    found = {n: v.node.state.value for n, v in fold_files(Files(nodes_log=text)).nodes.items()}
    assert found == {"N1": "idle", "N2": "done"}


STATUS = """[
  Type = "DagStatus";
  DagFiles = {{
    "x.dag"
  }};
  Timestamp = 1739469648; /* "Thu Feb 13 12:00:48 2025" */
  DagStatus = {dag}; /* "STATUS" */
]
[
  Type = "NodeStatus";
  Node = "A\\"q";
  NodeStatus = {node}; /* "STATUS" */
  StatusDetails = "{details}";
  RetryCount = 2;
  JobProcsQueued = 1;
  JobProcsHeld = {held};
]
[
  Type = "NodeStatus";
  Node = "cut o
"""


@pytest.mark.parametrize(
    ("dag", "node", "details", "held", "state"),
    [
        (3, 0, "", 0, "unready"),
        (3, 1, "", 0, "ready"),
        (3, 2, "", 0, "running"),
        (3, 3, "idle", 0, "idle"),
        (3, 3, "not_idle", 0, "running"),
        (3, 3, "idle", 1, "held"),
        (3, 4, "", 0, "running"),
        (3, 5, "", 0, "done"),
        (6, 6, "Job proc (1.0.0) failed with status 1", 0, "failed"),
        (6, 6, "Was STATUS_SUBMITTED", 0, "removed"),
        (6, 6, "HTCondor reported ULOG_JOB_ABORTED event for job proc (1.0.0)", 0, "removed"),
        (6, 7, "Had an ancestor node fail", 0, "futile"),
    ],
)
def test_node_status(dag: int, node: int, details: str, held: int, state: str) -> None:
    text = STATUS.format(dag=dag, node=node, details=details, held=held)
    parsed = parse_node_status(text)
    assert parsed.local == datetime(2025, 2, 13, 12, 0, 48, tzinfo=UTC)
    assert parsed.time == datetime(2025, 2, 13, 18, 0, 48, tzinfo=UTC)
    assert parsed.nodes['A"q'].retry == 2
    assert parsed.is_final is (dag in {Status.DONE, Status.ERROR})
    found = fold_files(Files(node_status=text)).nodes
    assert {name: v.node.state.value for name, v in found.items()} == {'A"q': state}


RESCUE = """# Rescue DAG file, created after running
# Nodes that failed: 2
#   B,K,<ENDLIST>

DONE A
# Failed node with only weak child dependencies:
DONE K
RETRY B 1
"""


def test_rescue_file() -> None:
    states = parse_rescue_states(RESCUE)
    assert (states.done, states.failed) == ({"A"}, {"B", "K"})
    dag = parse_dag(
        "JOB A a.sub\nJOB B b.sub\nJOB C c.sub\nJOB K k.sub\nJOB KW k.sub\nJOB Z z.sub DONE\n"
        "PARENT A CHILD B\nPARENT B CHILD C\nWEAK PARENT K CHILD KW\n"
    )
    found = {
        n: v.node.state.value for n, v in fold_files(Files(dag=dag, rescue=RESCUE)).nodes.items()
    }
    assert found == {
        "A": "done", "B": "failed", "C": "futile", "K": "failed", "KW": "unready", "Z": "done",
    }  # fmt: skip


OUT = """11/22/26 22:01:53 ** condor_dagman (CONDOR_DAGMAN) STARTING UP
11/22/26 22:01:53 Dag contains 3 total nodes
11/22/26 22:01:54 Submitting HTCondor Node A job(s)...
11/22/26 22:01:54 \tassigned HTCondor ID (31.0.0)
11/22/26 22:01:55 Event: ULOG_SUBMIT for HTCondor Node A (31.0.0) {11/22/26 22:01:54}
11/22/26 22:01:56 Event: ULOG_JOB_TERMINATED for HTCondor Node A (31.0.0) {11/22/26 22:01:55}
11/22/26 22:01:56 Node A job proc (31.0.0) completed successfully.
11/22/26 22:01:57 Submitting HTCondor Node B job(s)...
11/22/26 22:01:57 \tassigned HTCondor ID (32.0.0)
"""
AGAIN = """11/22/26 22:02:11 ** condor_dagman (CONDOR_DAGMAN) STARTING UP
"""
FOUND = """11/22/26 22:02:12 Found rescue DAG number 1; running x.dag.rescue001 in combination with
"""
EVENTS = """11/22/26 22:02:14 Event: ULOG_SUBMIT for Condor Node B (36.0.0) {11/22/26 22:02:13}
11/22/26 22:02:15 Event: ULOG_JOB_HELD for Condor Node B (36.0.0) {11/22/26 22:02:14}
11/22/26 22:02:15   Hold reason: no such file
"""
GONE = """11/22/26 22:03:00 Removing any/all submitted HTCondor jobs...
11/22/26 22:03:00 **** condor_dagman (condor_DAGMAN) pid 9 EXITING WITH STATUS 2
"""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (OUT, {"A": "done", "B": "submitted"}),
        (OUT + AGAIN + FOUND, {"A": "done"}),
        (OUT + AGAIN, {}),
        (OUT + AGAIN + FOUND + EVENTS, {"A": "done", "B": "held"}),
        (OUT + AGAIN + FOUND + EVENTS + GONE, {"A": "done", "B": "removed"}),
    ],
)
def test_starts_of_dagman_follow_each_other(text: str, expected: dict[str, str]) -> None:
    outcome = fold_files(Files(dagman_out=text))
    assert {n: v.node.state.value for n, v in outcome.nodes.items()} == expected
    if expected.get("B") == "held":
        assert outcome.nodes["B"].node.hold_reason == "no such file"


@pytest.mark.parametrize("option", ["nodes_log", "node_status", "dagman_out", "rescue"])
@pytest.mark.parametrize("text", ["", "\x00\xff...\n", "[\n[\n]\n", "000 (a.b.c) x\n...\n"])
def test_nonsense_is_no_reason_to_stop(option: str, text: str) -> None:
    assert fold_files(Files(**{option: text})).nodes == {}  # type: ignore[arg-type]
