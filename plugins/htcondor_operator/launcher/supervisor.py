"""A small process that starts, watches, restarts and stops all services of one home.

It runs in a session of its own (``python -m htcondor_operator.launcher.supervisor``) and writes
what it knows to ``run/supervisor.json`` after every change. SIGTERM stops everything, SIGHUP tries
failed services again. Processes are known by pid *and* start time, so that a pid that was used
again is never touched.
"""

from __future__ import annotations

import contextlib
import fcntl
import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from types import FrameType

import psutil

from htcondor_operator.launcher import environment
from htcondor_operator.launcher.home import CHECKOUT, Home, digest
from htcondor_operator.launcher.services import Service, services

TICK = 0.1
ASK_STARTING = 0.5
ASK_RUNNING = 5.0
BACKOFF_MAX = 60.0
LOG_MAX = 20_000_000
HOPELESS = 3
"""Starts without ever having been healthy after which a service counts as failed."""


class ServiceState(StrEnum):
    """What a service is doing."""

    WAITING = "waiting"
    STARTING = "starting"
    RUNNING = "running"
    UNHEALTHY = "unhealthy"
    BACKOFF = "backoff"
    FAILED = "failed"
    MISSING = "missing"
    DONE = "done"
    STOPPED = "stopped"

    @property
    def is_good(self) -> bool:
        """Whether others may rely on the service."""
        return self in {ServiceState.RUNNING, ServiceState.DONE}

    @property
    def is_bad(self) -> bool:
        """Whether somebody has to look."""
        return self in {ServiceState.FAILED, ServiceState.MISSING}


@dataclass
class Word:
    """What the supervisor tells about one service."""

    state: ServiceState = ServiceState.WAITING
    pid: int = 0
    created: float = 0.0
    since: float = 0.0
    restarts: int = 0
    detail: str = ""
    address: str = ""
    log: str = ""


class Watch:
    """One service with its process, its health and its next restart."""

    def __init__(self, service: Service, log: Path, env: dict[str, str]) -> None:
        self.service = service
        self.word = Word(address=service.address, log=str(log), since=time.time())
        self._log = log
        self._env = env
        self._process: subprocess.Popen[bytes] | None = None
        self._question: Future[str] | None = None
        self._ask_at = 0.0
        self._start_at = 0.0
        self._futile = 0
        self._look_for_modules()

    def _look_for_modules(self) -> None:
        missing = [m for m in self.service.modules if not _module_exists(m)]
        if missing:
            self._tell(ServiceState.MISSING, f"there is no module {', '.join(missing)}")

    def try_again(self) -> None:
        """Forget that the service failed: somebody may have corrected the reason."""
        if self._process is None and self.word.state is not ServiceState.DONE:
            self._futile = 0
            self._start_at = 0.0
            self._tell(ServiceState.WAITING, "")
            self._look_for_modules()

    def step(self, ready: bool, askers: ThreadPoolExecutor) -> None:
        """Look at the process and its answers; do what is due."""
        if self.word.state in {ServiceState.MISSING, ServiceState.DONE}:
            return
        if self._process is None:
            if ready and time.monotonic() >= self._start_at:
                self._start()
            return
        code = self._process.poll()
        if code is not None:
            self._ended(code)
        elif not self.service.once:
            self._ask(askers)

    def _start(self) -> None:
        if self._log.exists() and self._log.stat().st_size > LOG_MAX:
            self._log.replace(self._log.with_suffix(".log.1"))
        with self._log.open("ab") as out:
            try:
                self._process = subprocess.Popen(
                    self.service.command,
                    env=self._env,
                    cwd=CHECKOUT,
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            except OSError as error:
                self._ended_badly(str(error))
                return
        self.word.pid = self._process.pid
        self.word.created = psutil.Process(self._process.pid).create_time()
        self._ask_at = 0.0
        self._tell(ServiceState.STARTING, "")

    def _ended(self, code: int) -> None:
        if not self.service.stop:
            end_group(self.word.pid)
        self._process = None
        self._question = None
        self.word.pid = 0
        if self.service.once and code == 0:
            self._tell(ServiceState.DONE, "")
        else:
            self._ended_badly(f"ended with code {code}" if code >= 0 else f"signal {-code}")

    def _ended_badly(self, detail: str) -> None:
        long_lived = self.word.state in {ServiceState.RUNNING, ServiceState.UNHEALTHY}
        self._futile = 0 if long_lived else self._futile + 1
        self.word.restarts += 1
        delay = min(2.0**self._futile, BACKOFF_MAX)
        self._start_at = time.monotonic() + delay
        hopeless = self._futile >= HOPELESS
        self._tell(ServiceState.FAILED if hopeless else ServiceState.BACKOFF, detail)

    def _ask(self, askers: ThreadPoolExecutor) -> None:
        if self._question is not None and self._question.done():
            try:
                answer = self._question.result()
            except Exception as error:
                answer = f"{type(error).__name__}: {error}"
            self._question = None
            self._answered(answer)
        elif self._question is None and time.monotonic() >= self._ask_at:
            self._question = askers.submit(self.service.probe, self.word.created)

    def _answered(self, answer: str) -> None:
        waiting = self.word.state is not ServiceState.RUNNING
        self._ask_at = time.monotonic() + (ASK_STARTING if waiting and answer else ASK_RUNNING)
        if not answer:
            self._futile = 0
            self._tell(ServiceState.RUNNING, "")
        elif self.word.state in {ServiceState.RUNNING, ServiceState.UNHEALTHY}:
            self._tell(ServiceState.UNHEALTHY, answer)
        else:
            self._tell(self.word.state, answer)

    def _tell(self, state: ServiceState, detail: str) -> None:
        if state is not self.word.state:
            self.word.since = time.time()
        self.word.state, self.word.detail = state, detail

    def stop(self) -> None:
        """Stop the process and everything below it within the service's patience."""
        if self._process is not None:
            stop_process(self.service, self.word.pid, self.word.created)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(5)
            self._process = None
        self.word.pid = 0
        self._tell(ServiceState.STOPPED, "")


def end_group(leader: int) -> None:
    """End what a process left behind in its session's group.

    A scheduler that was killed leaves LocalExecutor's idle workers, which nobody ends (3.3.2).
    HTCondor's and PostgreSQL's children see for themselves that their parent is gone.
    """
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, signal.SIGKILL)


def stop_process(service: Service | None, pid: int, created: float) -> None:
    """Stop a process by pid, if it still is the one that was started, and all below it."""
    try:
        process = psutil.Process(pid)
        if abs(process.create_time() - created) > 1:
            return
        family = [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return
    patience = service.patience if service else 15.0
    if service and service.stop:
        service.stop(pid, patience)
        return
    with contextlib.suppress(psutil.NoSuchProcess):
        process.terminate()
    psutil.wait_procs([process], patience)
    # Children that outlive their parent (a worker in the middle of something) get no say.
    _, alive = psutil.wait_procs(family, 2)
    for left in alive:
        with contextlib.suppress(psutil.NoSuchProcess):
            left.kill()
    psutil.wait_procs(alive, 5)


class Supervisor:
    """All services of one home."""

    def __init__(self, home: Home) -> None:
        self.home = home
        stack = environment.describe(home, keep_ports=True)
        env = {**environment.outside(home), **stack.environment}
        self.watches = [
            Watch(service, home.logs / f"{service.name}.log", env) for service in services(stack)
        ]
        self._stopping = False
        self._trying_again = False
        self._last = ""
        self._started_at = time.time()
        self._code = code_digest()

    def run(self) -> None:
        """Watch until SIGTERM, then stop everything in reverse order."""
        for name in (signal.SIGTERM, signal.SIGINT):
            signal.signal(name, self._on_signal)
        signal.signal(signal.SIGHUP, self._on_hangup)
        stop_orphans(self.home, [w.service for w in self.watches])
        askers = ThreadPoolExecutor(len(self.watches))
        while not self._stopping:
            self.step(askers)
            time.sleep(TICK)
        # Nobody waits for answers of services that are about to stop.
        askers.shutdown(wait=False, cancel_futures=True)
        self.stop()

    def step(self, askers: ThreadPoolExecutor) -> None:
        """Give every service its turn."""
        if self._trying_again:
            self._trying_again = False
            importlib.invalidate_caches()
            for watch in self.watches:
                watch.try_again()
        good = {w.service.name for w in self.watches if w.word.state.is_good}
        for watch in self.watches:
            watch.step(good.issuperset(watch.service.after), askers)
        self.write()

    def stop(self) -> None:
        """Stop what depends on others first; services of one layer stop together."""
        for layer in reversed(layers([w.service for w in self.watches])):
            names = {service.name for service in layer}
            chosen = [w for w in self.watches if w.service.name in names]
            with ThreadPoolExecutor(len(chosen)) as stoppers:
                list(stoppers.map(Watch.stop, chosen))
            self.write()

    def write(self) -> None:
        """Tell what is known, if it changed."""
        text = json.dumps(
            {
                "pid": os.getpid(),
                "created": psutil.Process().create_time(),
                "started_at": self._started_at,
                "code": self._code,
                "services": {w.service.name: asdict(w.word) for w in self.watches},
            },
            indent=1,
        )
        if text != self._last:
            temporary = self.home.state_file.with_suffix(".new")
            temporary.write_text(text)
            temporary.replace(self.home.state_file)
            self._last = text

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self._stopping = True

    def _on_hangup(self, _number: int, _frame: FrameType | None) -> None:
        self._trying_again = True


def layers(known: list[Service]) -> list[list[Service]]:
    """Return the services in layers: each depends on earlier layers only."""
    result: list[list[Service]] = []
    placed: set[str] = set()
    rest = list(known)
    while rest:
        layer = [service for service in rest if placed.issuperset(service.after)]
        assert layer, "services depend on one another in a circle"
        result.append(layer)
        placed |= {service.name for service in layer}
        rest = [service for service in rest if service.name not in placed]
    return result


def code_digest() -> str:
    """Return a hash of the code that the services run."""
    return digest(CHECKOUT / "plugins", CHECKOUT / "requirements.txt")


def runs_old_code(home: Home) -> bool:
    """Whether the code has changed since the services were started."""
    try:
        return bool(json.loads(home.state_file.read_text())["code"] != code_digest())
    except (OSError, ValueError, KeyError):
        return False


def last_words(home: Home) -> dict[str, Word]:
    """Return what the supervisor wrote last."""
    try:
        told = json.loads(home.state_file.read_text())["services"]
    except (OSError, ValueError, KeyError):
        return {}
    return {n: Word(**{**w, "state": ServiceState(w["state"])}) for n, w in told.items()}


def supervisor_pid(home: Home) -> int:
    """Return the pid of the home's living supervisor, or 0."""
    try:
        told = json.loads(home.state_file.read_text())
        created = psutil.Process(told["pid"]).create_time()
    except (OSError, ValueError, KeyError, psutil.Error):
        return 0
    return told["pid"] if abs(created - told["created"]) < 1 else 0


def stop_orphans(home: Home, known: list[Service]) -> None:
    """Stop what a supervisor that was killed has left running."""
    words = last_words(home)
    for layer in reversed(layers(known)):
        left = [(s, words[s.name]) for s in layer if s.name in words and words[s.name].pid]
        with ThreadPoolExecutor(max(1, len(left))) as stoppers:
            list(
                stoppers.map(lambda pair: stop_process(pair[0], pair[1].pid, pair[1].created), left)
            )


def _module_exists(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        return False


def main() -> int:
    """Run the supervisor of ``OWL_HOME``; a second one ends at once."""
    home = Home.current()
    home.make()
    with home.lock_file.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return 0
        Supervisor(home).run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
