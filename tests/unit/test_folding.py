from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from htcondor_operator.dagman.events import EventType, JobEvent, event_from_ad, parse_usage
from htcondor_operator.dagman.folding import fold
from htcondor_operator.dagman.node_try import NodeTry
from htcondor_operator.vocabulary import NodeState, Source

START = datetime(2026, 1, 1, tzinfo=UTC)
GOOD = {"TerminatedNormally": True, "ReturnValue": 0}


def event(
    kind: int, seconds: float = 0, cluster: int = 7, proc: int = 0, **facts: object
) -> JobEvent:
    return JobEvent(cluster, proc, kind, START + timedelta(seconds=seconds), "A", 1, 0, facts)  # type: ignore[arg-type]


def state_after(*events: JobEvent) -> NodeTry:
    node = NodeTry("A")
    for one in events:
        fold(node, one)
    return node


SUBMIT, EXECUTE = event(EventType.SUBMIT), event(EventType.EXECUTE, 5, SlotName="slot1_2@m1")


@pytest.mark.parametrize(
    ("events", "state", "reason"),
    [
        ([SUBMIT], "idle", None),
        ([event(0, HoldReasonCode=15, HoldReason="on hold")], "held", "on hold"),
        ([SUBMIT, EXECUTE], "running", None),
        ([SUBMIT, EXECUTE, event(EventType.EVICTED, 6)], "idle", "evicted"),
        ([SUBMIT, EXECUTE, event(EventType.TERMINATED, 9, **GOOD)], "done", None),
        (
            [SUBMIT, EXECUTE, event(5, 9, TerminatedNormally=True, ReturnValue=3)],
            "failed",
            "exit code 3",
        ),
        (
            [SUBMIT, EXECUTE, event(5, 9, TerminatedNormally=False, TerminatedBySignal=9)],
            "failed",
            "killed by signal 9",
        ),
        ([SUBMIT, EXECUTE, event(EventType.SHADOW_EXCEPTION, 6, Message="boo")], "idle", "boo"),
        ([SUBMIT, EXECUTE, event(EventType.SUSPENDED, 6)], "running", "suspended"),
        ([SUBMIT, event(EventType.HELD, 2, HoldReason="why")], "held", "why"),
        # The shadow's eviction may come after the schedd's hold.
        ([SUBMIT, EXECUTE, event(12, 6, HoldReason="why"), event(4, 6.1)], "held", "why"),
        ([SUBMIT, event(12, 2, HoldReason="why"), event(13, 3)], "idle", None),
        ([SUBMIT, event(EventType.ABORTED, 2, Reason="rm")], "removed", "rm"),
        ([SUBMIT, EXECUTE, event(5, 9, **GOOD), event(9, 10, Reason="rm")], "done", None),
        ([SUBMIT, EXECUTE, event(22, 6, DisconnectReason="net")], "running", "net"),
        ([SUBMIT, EXECUTE, event(22, 6), event(23, 7)], "running", None),
        ([SUBMIT, EXECUTE, event(22, 6), event(24, 7, Reason="gone")], "idle", "gone"),
        ([SUBMIT, event(EventType.FILE_TRANSFER, 2, Type=2)], "idle", "transferring input"),
        ([SUBMIT, event(2, 2)], "idle", "the executable cannot be run"),
        ([SUBMIT, EXECUTE, event(5, 9, **GOOD), event(16, 11, **GOOD)], "done", None),
        (
            [
                SUBMIT,
                EXECUTE,
                event(5, 9, **GOOD),
                event(16, 11, TerminatedNormally=True, ReturnValue=2),
            ],
            "failed",
            "POST script ended with 2",
        ),
        (
            [event(EventType.PRE_SKIP)],
            "done",
            "skipped: its PRE script ended with the PRE_SKIP code",
        ),
    ],
)
def test_state_table(events: list[JobEvent], state: str, reason: str | None) -> None:
    node = state_after(*events)
    assert (node.state.value, node.reason) == (state, reason)


def test_times_place_and_usage() -> None:
    usage = {"TotalRemoteUsage": "Usr 0 00:01:05, Sys 1 00:00:02", "MemoryUsage": 12}
    node = state_after(SUBMIT, EXECUTE, event(5, 9, **GOOD, **usage))
    assert (node.host, node.slot, node.idle_s) == ("m1", "slot1_2", 5.0)
    assert node.started_at == START + timedelta(seconds=5)
    assert node.ended_at == START + timedelta(seconds=9)
    assert (node.cpu_user_s, node.cpu_system_s, node.memory_peak_mb) == (65.0, 86402.0, 12.0)


def test_telemetry_is_merged_and_nonsense_ignored() -> None:
    node = state_after(
        SUBMIT, event(8, 6, Info='{"pid": 1, "step": "a"}'), event(8, 7, Info='{"step": "b"}'),
        event(8, 8, Info="hello {"), event(8, 9, Info="[1]"),
    )  # fmt: skip
    assert node.telemetry is not None
    assert (node.telemetry["pid"], node.telemetry["step"]) == (1, "b")


def test_a_cluster_of_procs_ends_with_its_last_and_fails_with_its_worst() -> None:
    procs = [event(0, 0, proc=p) for p in range(3)] + [event(1, 1, proc=p) for p in range(3)]
    bad = event(5, 2, proc=1, TerminatedNormally=True, ReturnValue=4)
    node = state_after(*procs, bad)
    assert node.state is NodeState.RUNNING
    node = state_after(*procs, bad, event(5, 3, **GOOD), event(9, 3, proc=2))
    assert (node.state, node.exit_code) == (NodeState.FAILED, 4)


def test_a_newer_cluster_starts_over_and_an_older_one_is_ignored() -> None:
    node = state_after(SUBMIT, EXECUTE, event(0, 20, cluster=9), event(5, 30, **GOOD))
    assert (node.state, node.cluster, node.started_at) == (NodeState.IDLE, 9, None)


def test_dagmans_word_stays() -> None:
    node = NodeTry("A", state=NodeState.DONE, cluster=7, proc=0, source=Source.NODE_STATUS)
    node.verdict = NodeState.DONE
    fold(node, event(5, 9, TerminatedNormally=True, ReturnValue=1))
    assert (node.state, node.source, node.exit_code) == (NodeState.DONE, Source.NODE_STATUS, None)


LIFE = [
    SUBMIT,
    event(6, 3, ResidentSetSize=2048),
    EXECUTE,
    event(8, 6, Info='{"a": 1}'),
    event(4, 7),
    event(12, 8, HoldReason="x", HoldReasonCode=1),
    event(13, 9),
    event(1, 10, SlotName="slot1_1@m2", NumShadowStarts=2),
    event(5, 12, **GOOD),
    event(9, 13, Reason="late"),
]


@given(st.lists(st.sampled_from(range(len(LIFE))), max_size=12))
def test_replays_of_any_part_change_nothing(again: list[int]) -> None:
    node = state_after(*LIFE)
    for index in again:
        fold(node, LIFE[index])
    assert node == state_after(*LIFE)


@given(st.integers(0, len(LIFE)), st.integers(0, len(LIFE)))
def test_reading_again_from_an_earlier_place(end: int, back: int) -> None:
    node = state_after(*LIFE[:end], *LIFE[min(back, end) :])
    assert node == state_after(*LIFE)


def test_event_from_ad() -> None:
    ad = {
        "EventTypeNumber": 28,
        "TriggerEventTypeNumber": 5,
        "EventTime": "2026-01-01T00:00:09.125",
        "Cluster": 7,
        "Proc": 0,
        "DAGNodeName": "A",
        "DAGManJobId": 1,
        "DAGManNodeRetry": 2,
        "ReturnValue": 0,
        "Info": "a\x00b\udc80c",
        "ExecuteProps": object(),
    }
    made = event_from_ad(ad)
    assert made is not None
    assert made.time == datetime(2026, 1, 1, 0, 0, 9, 125000, tzinfo=UTC)
    assert (made.node, made.dagman, made.retry) == ("A", 1, 2)
    assert made.facts == {"ReturnValue": 0, "Info": "a\ufffdb\ufffdc"}
    assert event_from_ad({**ad, "EventTypeNumber": 5}) is None
    assert event_from_ad({**ad, "EventTime": None}) is None


def test_parse_usage() -> None:
    assert parse_usage("Usr 1 02:03:04, Sys 0 00:00:07") == (93784.0, 7.0)
    assert parse_usage(None) is None


def test_a_job_that_was_held_and_released_has_run_twice() -> None:
    events = [
        SUBMIT,
        EXECUTE,
        event(12, 60, HoldReason="why"),
        event(EventType.EVICTED, 60.1),
        event(13, 500),
        event(EventType.EXECUTE, 510, SlotName="slot1@m2"),
        event(5, 600, **GOOD),
    ]
    node = state_after(*events, *events)  # a log may be read again

    def at(seconds: float) -> str:
        return (START + timedelta(seconds=seconds)).isoformat()

    assert node.started_at == START + timedelta(seconds=5)
    assert node.executions == [[0, at(5), at(60), "m1"], [0, at(510), at(600), "m2"]]
    evicted = state_after(SUBMIT, EXECUTE, event(EventType.EVICTED, 30), event(1, 40))
    assert evicted.executions == [[0, at(5), at(30), "m1"], [0, at(40), None, "m1"]]
