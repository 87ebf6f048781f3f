"""The reader on files: damaged events, a partial last event, truncation. No daemons are needed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

# The bindings read HTCondor's configuration once per process: the tests' own must stay free.
PROGRAM = """
import json, os, sys, time
os.environ["TZ"] = "UTC"; time.tzset()
from pathlib import Path
from htcondor_operator.mirror.event_log import EventLogReader
path = Path(sys.argv[1])
reader = EventLogReader(path, None)
def read():
    found = []
    for _ in range(6):
        found += [e.cluster for e in reader.read(100).events]
    return found
rounds = [read()]
for step in json.loads(sys.argv[2]):
    with path.open(step["mode"]) as stream:
        stream.write(step["text"])
    rounds.append(read())
print(json.dumps({"rounds": rounds, "damaged": reader.damaged, "gaps": reader.gaps}))
"""
HEAD = (
    "008 (-01.-01.-01) 2026-11-22 21:28:07.990Z Global JobLog: ctime=1 id=9.1.1.1 sequence=1"
    " size=0 events=0 offset=0 event_off=0 max_rotation=20 creator_name=<>\n...\n"
)


def event(cluster: int) -> str:
    return (
        f"028 ({cluster:03d}.000.000) 2026-11-22 21:28:07.990Z Job ad information event"
        " triggered.\n"
        f'Cluster = {cluster}\nProc = 0\nEventTime = "2026-11-22T21:28:07.990Z"\n'
        "EventTypeNumber = 28\nTriggerEventTypeNumber = 0\n...\n"
    )


def run(tmp_path: Path, first: str, *steps: tuple[str, str]) -> dict[str, object]:
    path = tmp_path / "EventLog"
    path.write_text(first)
    given = json.dumps([{"mode": mode, "text": text} for mode, text in steps])
    env = {**os.environ, "CONDOR_CONFIG": "/dev/null", "PYTHONPATH": str(ROOT / "plugins")}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(path), given],
        env=env,
        capture_output=True,
        text=True,
        check=True,
    )
    said: dict[str, object] = json.loads(done.stdout)
    return said


def test_damaged_events_are_stepped_over(tmp_path: Path) -> None:
    bad = "028 (garbage\n...\n028 (001.000.000) 2026-11-22 99:99:99 Job\n...\nnoise\n...\n"
    said = run(tmp_path, HEAD + event(1) + bad + event(2))
    assert said["rounds"] == [[1, 2]]


def test_a_partial_event_is_waited_for(tmp_path: Path) -> None:
    whole = event(2)
    said = run(tmp_path, HEAD + event(1) + whole[:90], ("a", whole[90:]), ("a", event(3)))
    assert said["rounds"] == [[1], [2], [3]]


def test_a_truncated_log_is_read_from_its_start(tmp_path: Path) -> None:
    said = run(tmp_path, HEAD + event(1) + event(2), ("w", HEAD + event(3)))
    assert said["rounds"] == [[1, 2], [3]]
