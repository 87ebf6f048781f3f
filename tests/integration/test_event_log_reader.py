"""The reader on files: damaged and partial events, truncation, rotation. No daemons are needed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from rotating_log import event, head

from htcondor_operator.mirror.log_files import all_files

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
    if step["mode"] == "rotate":
        path.rename(str(path) + ".1")
    with path.open("a" if step["mode"] == "rotate" else step["mode"]) as stream:
        stream.write(step["text"])
    rounds.append(read())
print(json.dumps({"rounds": rounds, "damaged": reader.damaged, "gaps": reader.gaps}))
"""
# Reads while another process rotates, and begins again at its last place now and then, as a mirror
# that was killed does.
ROTATED = """
import json, os, subprocess, sys, time
os.environ["TZ"] = "UTC"; time.tzset()
from pathlib import Path
import rotating_log
from htcondor_operator.mirror.event_log import EventLogReader
path, last = Path(sys.argv[1]), int(sys.argv[2])
writer = subprocess.Popen([sys.executable, rotating_log.__file__, str(path), str(last)])
reader, found, looks, gaps = EventLogReader(path, None), [], 0, 0
end = time.monotonic() + 240
while last not in found and time.monotonic() < end:
    batch, looks = reader.read(100), looks + 1
    if batch is not None:
        found += [e.cluster for e in batch.events]
        if looks % 20 == 0:
            gaps += reader.gaps
            reader.close()
            reader = EventLogReader(path, batch.position)
    time.sleep(0.002)
writer.wait()
print(json.dumps({"found": found, "gaps": gaps + reader.gaps, "damaged": reader.damaged}))
"""

# One writer rotates between another's look at the log and its event.
LATE = """
import json, os, sys, time
os.environ["TZ"] = "UTC"; time.tzset()
from pathlib import Path
from rotating_log import append, event, head, rotate
from htcondor_operator.mirror import event_log
path, found = Path(sys.argv[1]), []
append(path, head(40) + event(1))
reader = event_log.EventLogReader(path, None)
def read():
    found.extend(e.cluster for e in reader.read(100).events)
read()
rotate(path, 1)
append(path, event(3))
# However long this process rests here, the reader must not have lost its patience.
usual, event_log._LATE_WRITER_SECONDS = event_log._LATE_WRITER_SECONDS, 600
for _ in range(3):
    read()
append(Path(str(path) + ".1"), event(2))
event_log._LATE_WRITER_SECONDS = usual
end = time.monotonic() + 60
while 3 not in found and time.monotonic() < end:
    read()
    time.sleep(0.05)
print(json.dumps({"found": found, "gaps": reader.gaps}))
"""
HEAD = head()


def run(tmp_path: Path, first: str, *steps: tuple[str, str]) -> dict[str, object]:
    path = tmp_path / "EventLog"
    path.write_text(first)
    given = json.dumps([{"mode": mode, "text": text} for mode, text in steps])
    return python(PROGRAM, path, given)


def python(program: str, path: Path, *arguments: str) -> dict[str, object]:
    folders = f"{ROOT / 'plugins'}{os.pathsep}{Path(__file__).parent}"
    env = {**os.environ, "CONDOR_CONFIG": "/dev/null", "PYTHONPATH": folders}
    done = subprocess.run(
        [sys.executable, "-c", program, str(path), *arguments],
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


def test_nothing_is_lost_or_doubled_while_the_log_is_rotated(tmp_path: Path) -> None:
    said = python(ROTATED, tmp_path / "EventLog", "450")
    assert said == {"found": list(range(1, 451)), "gaps": 0, "damaged": 0}


def test_an_event_is_found_that_was_written_after_the_rotation(tmp_path: Path) -> None:
    """The new file's number is no larger, as when a starting daemon made it."""
    assert python(LATE, tmp_path / "EventLog") == {"found": [1, 2, 3], "gaps": 0}


def test_a_file_that_never_got_its_header_is_read_too(tmp_path: Path) -> None:
    """The disk was full when it should have been written."""
    half = head(2)[:60]
    for begin in ("", half + "\n...\n"):
        folder = tmp_path / str(len(begin))
        folder.mkdir()
        steps = (("rotate", begin + event(2)), ("a", event(3)))
        said = run(folder, HEAD + event(1), *steps)
        assert (said["rounds"], said["gaps"]) == ([[1], [2], [3]], 0)


def test_a_new_file_without_a_line_is_waited_for(tmp_path: Path) -> None:
    said = run(tmp_path, HEAD + event(1), ("rotate", ""), ("a", head(2, 2) + event(2)))
    assert said["rounds"] == [[1], [], [2]]


def test_the_only_rotation_is_newer_than_those_of_before(tmp_path: Path) -> None:
    """EVENT_LOG_MAX_ROTATIONS was lowered to 1: nobody deletes the numbered files."""
    written = {"EventLog.2": 5, "EventLog.1": 6, "EventLog.old": 7, "EventLog": 8}
    for name, number in written.items():
        (tmp_path / name).write_text(head(number, number))
    assert [file.sequence for file in all_files(tmp_path / "EventLog")] == [5, 6, 7, 8]
    (tmp_path / "EventLog.old").write_text(head(4, 4))
    assert [file.sequence for file in all_files(tmp_path / "EventLog")] == [4, 5, 6, 8]
