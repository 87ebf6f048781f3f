"""Starter hooks on a real pool: their words arrive, and no job runs twice for them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from htcondor_operator.condor.hooks import SHARED_KEYWORD, starter_hook_config
from htcondor_operator.condor.install import ensure_condor
from htcondor_operator.condor.pool import PersonalPool
from tests.conftest import _cache
from tests.integration.gateway_site import wait_for

pytestmark = [pytest.mark.pool, pytest.mark.timeout(900)]

# A job that waits for its own telemetry, which comes every twenty seconds: a hook that was slow to
# start has sent nothing.
_WAITS = """\
i=0
until grep -q '^008 ' {log} || [ $i -ge 100 ]; do sleep 1; i=$((i + 1)); done
exit 3
"""


@pytest.fixture(scope="module")
def hooked_pool(state_dir: Path) -> Iterator[PersonalPool]:
    extra = starter_hook_config(state_dir / "hooks")
    pool = PersonalPool(
        ensure_condor(_cache() / "condor", print), state_dir / "hooked", extra=extra
    )
    pool.start()
    yield pool
    pool.stop()


def _run(pool: PersonalPool, folder: Path, **commands: str) -> list[dict[str, object]]:
    """Run a job and return the events of its log."""
    description = {
        "executable": "/bin/sh",
        "transfer_executable": "false",
        "arguments": "\"-c 'sleep 5; exit 3'\"",
        "log": "job.log",
        "request_memory": "16MB",
        "request_disk": "1MB",
        "want_io_proxy": "true",
        "initialdir": str(folder),
        **commands,
    }
    text = "\n".join(f"{k} = {v}" for k, v in description.items())
    (folder / "job.sub").write_text(text + "\nqueue\n")
    _condor(pool, "condor_submit", str(folder / "job.sub"))
    log = folder / "job.log"
    wait_for("the end", lambda: "\n005 (" in "\n" + log.read_text(), 240)
    # Had the starter left too early, the job would run again now.
    wait_for("an empty queue", lambda: not _condor(pool, "condor_q", "-af", "ClusterId").strip())
    return _events(log.read_text())


def _condor(pool: PersonalPool, program: str, *arguments: str) -> str:
    import subprocess

    done = subprocess.run(
        [str(pool.condor.bin / program), *arguments],
        env=pool.environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def _events(text: str) -> list[dict[str, object]]:
    found = []
    for block in text.split("\n...\n"):
        if block.strip():
            head, _, _ = block.strip().partition("\n")
            found.append({"type": int(head[:3]), "text": block.strip()})
    return found


def _telemetry(events: list[dict[str, object]]) -> list[dict[str, object]]:
    words = [str(event["text"]) for event in events if event["type"] == 8]
    return [json.loads(text[text.index("{") :]) for text in words]


@pytest.mark.parametrize(
    ("commands", "tells_its_end"),
    [
        ({"should_transfer_files": "YES"}, False),
        ({"should_transfer_files": "NO"}, False),
        ({"should_transfer_files": "NO", "My.HookKeyword": f'"{SHARED_KEYWORD}"'}, True),
    ],
)
def test_telemetry_arrives_and_the_job_ends_once(
    hooked_pool: PersonalPool, run_dir: Path, commands: dict[str, str], tells_its_end: bool
) -> None:
    # A hook has two seconds. On a machine that stood still it tells nothing, and the job is run
    # anew; that no job runs twice for it holds each time.
    for number in range(3):
        folder = run_dir / str(number)
        folder.mkdir()
        script = folder / "waits.sh"
        script.write_text(_WAITS.format(log=folder / "job.log"))
        events = _run(hooked_pool, folder, arguments=str(script), **commands)
        kinds = [event["type"] for event in events]
        assert kinds.count(1) == 1, "one start"
        assert kinds.count(5) == 1, "one end"
        telemetry = _telemetry(events)
        words = [word["owl"] for word in telemetry]
        if words[:1] == ["update"] and ("exit" in words or not tells_its_end):
            break
    assert telemetry, events
    assert telemetry[0]["owl"] == "update"
    assert isinstance(telemetry[0]["pid"], int)
    # Not always the last word: an update that was slow to start is written after it.
    ends = [word["exit_code"] for word in telemetry if word["owl"] == "exit"]
    assert ends == ([3] if tells_its_end else [])
    event_log = hooked_pool.event_log.read_text()
    assert json.dumps(telemetry[0])[:16] in event_log


def test_a_job_without_proxy_is_left_alone(hooked_pool: PersonalPool, run_dir: Path) -> None:
    events = _run(hooked_pool, run_dir, want_io_proxy="false", should_transfer_files="NO")
    assert _telemetry(events) == []
    assert [e["type"] for e in events].count(5) == 1


def test_a_pool_without_hooks_runs_jobs_that_ask_for_them(
    pool: PersonalPool, run_dir: Path
) -> None:
    commands = {"should_transfer_files": "NO", "My.HookKeyword": f'"{SHARED_KEYWORD}"'}
    events = _run(pool, run_dir, **commands)
    assert [e["type"] for e in events].count(5) == 1
