"""Start and stop the whole stack of one home."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import psutil

from htcondor_operator.condor.install import check_site, ensure_condor
from htcondor_operator.launcher import environment
from htcondor_operator.launcher.environment import Stack
from htcondor_operator.launcher.home import CHECKOUT, Home
from htcondor_operator.launcher.services import services
from htcondor_operator.launcher.supervisor import (
    ServiceState,
    Word,
    last_words,
    runs_old_code,
    stop_orphans,
    supervisor_pid,
)
from htcondor_operator.vocabulary import ErrorKind, OwlError

UP_TIMEOUT = 240.0
DOWN_TIMEOUT = 120.0
TAIL = 15

Say = Callable[[str], None]

OWNED = (
    ".lock",
    "airflow",
    "bootstrap",
    "cache",
    "data",
    "environment",
    "logs",
    "pool",
    "ports.json",
    "postgres",
    "run",
    "runs",
    "secrets.json",
    "shared",
    "src",
    "test",
    "venv",
)
"""Everything that OWL makes in its home: a purge removes these and nothing else."""


def up(home: Home, say: Say, timeout: float = UP_TIMEOUT) -> Stack:
    """Start what is not running and wait until every service is healthy.

    Raises
    ------
    OwlError
        Naming the services that are not healthy and their logs' last lines.
    """
    home.make()
    pid = supervisor_pid(home)
    if pid and runs_old_code(home):
        say("the code has changed since the services were started: restarting them")
        down(home, say)
        pid = 0
    if pid:
        stack = environment.describe(home, keep_ports=True)
        if any(word.state.is_bad for word in last_words(home).values()):
            os.kill(pid, signal.SIGHUP)
            time.sleep(1)
    else:
        stack = _prepare(home, say)
        _start_supervisor(home)
    wait_healthy(home, say, timeout)
    return stack


def _prepare(home: Home, say: Say) -> Stack:
    """Install and write what the services need; the slow steps run side by side."""
    stack = environment.describe(home)
    server = stack.postgres
    if not stack.pool:
        say(f"HTCondor {check_site(environment.outside(home))} of this site")
    with ThreadPoolExecutor(2) as workers:
        steps: list[Future[object]] = []
        if stack.pool:
            steps.append(workers.submit(lambda: ensure_condor(home.condor, say)))
        if server:
            steps.append(workers.submit(server.prepare))
        for step in steps:
            step.result()
    stack = environment.describe(home)
    if stack.pool:
        stack.pool.write()
        (stack.pool.log / ".collector_address").unlink(missing_ok=True)
    if stack.postgres:
        stack.postgres.make_socket_dir()
    environment.write(stack)
    return stack


def _start_supervisor(home: Home) -> None:
    env = {**environment.outside(home), "OWL_HOME": str(home.root)}
    known = services(environment.describe(home, keep_ports=True))
    stop_orphans(home, list(known))
    home.state_file.unlink(missing_ok=True)
    log = home.logs / "supervisor.log"
    with log.open("ab") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "htcondor_operator.launcher.supervisor"],
            env=env,
            cwd=CHECKOUT,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    end = time.monotonic() + 30
    over = False
    while not supervisor_pid(home):
        if process.poll() is not None or over:
            raise OwlError(ErrorKind.INTERNAL, f"the supervisor did not start.\n{tail(log)}")
        # The last look is after the time is over: this process may have rested, too.
        over = time.monotonic() > end
        time.sleep(0.05)


def wait_healthy(home: Home, say: Say, timeout: float) -> None:
    """Wait until every service is healthy or one has failed for good."""
    end = time.monotonic() + timeout
    told: dict[str, str] = {}
    while True:
        words = last_words(home)
        for name, word in words.items():
            line = f"{name}: {word.state}" + (f" ({word.detail})" if word.state.is_bad else "")
            if told.get(name) != word.state and word.state is not ServiceState.WAITING:
                say(line)
            told[name] = word.state
        bad = {n: w for n, w in words.items() if w.state.is_bad}
        late = {n: w for n, w in words.items() if not w.state.is_good}
        # A service that can never start must not hide whether the others do.
        if words and not late.keys() - bad.keys() - _behind(words, bad):
            if bad:
                raise OwlError(ErrorKind.INTERNAL, explain(bad))
            return
        if not supervisor_pid(home):
            log = home.logs / "supervisor.log"
            raise OwlError(ErrorKind.INTERNAL, f"the supervisor has ended.\n{tail(log)}")
        if time.monotonic() > end:
            why = f"not healthy after {timeout:.0f} s.\n{explain(late)}"
            raise OwlError(ErrorKind.INTERNAL, why)
        time.sleep(0.2)


def _behind(words: dict[str, Word], bad: dict[str, Word]) -> set[str]:
    """Return the services that wait while something is broken."""
    waiting = {n for n, w in words.items() if w.state is ServiceState.WAITING}
    return waiting if bad.keys() & {"postgres", "schema", "condor"} else set()


def explain(words: dict[str, Word]) -> str:
    """Return one paragraph per service: its state and its log's last lines."""
    return "\n".join(
        f"{name} is {word.state}: {word.detail or 'no reason known'}\n{tail(Path(word.log))}"
        for name, word in words.items()
    )


def tail(log: Path, lines: int = TAIL) -> str:
    """Return a log's last lines, with its name."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 64_000))
            found = file.read().decode(errors="replace").splitlines()[-lines:]
    except OSError:
        return f"  ({log} does not exist)"
    return "\n".join([f"  {log}:", *(f"  | {line}" for line in found)])


def down(home: Home, say: Say, timeout: float = DOWN_TIMEOUT) -> None:
    """Stop everything, in reverse order; what a killed supervisor left behind, too."""
    pid = supervisor_pid(home)
    if pid:
        say("stopping")
        process = psutil.Process(pid)
        os.kill(pid, signal.SIGTERM)
        try:
            process.wait(timeout)
        except psutil.TimeoutExpired:
            process.kill()
    if home.state_file.exists():
        stop_orphans(home, list(services(environment.describe(home, keep_ports=True))))
        home.state_file.unlink(missing_ok=True)
    say("stopped" if pid else "nothing is running")


def purge(home: Home) -> None:
    """Remove all that OWL has made in its home, and the home if nothing else is in it.

    Raises
    ------
    OwlError
        Naming what could not be removed.
    """
    socket = environment.describe(home, keep_ports=True).postgres
    if socket:
        shutil.rmtree(socket.socket_dir, ignore_errors=True)
    for name in OWNED:
        path = home.root / name
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
    left = [str(home.root / name) for name in OWNED if (home.root / name).exists()]
    if left:
        raise OwlError(
            ErrorKind.NOT_WRITABLE, f"cannot remove {', '.join(left)}: correct owner or mode."
        )
    if home.root.is_dir() and not any(home.root.iterdir()):
        # Started as root, the home's parent is root's: the script removes the empty folder.
        with contextlib.suppress(PermissionError):
            home.root.rmdir()
