"""A private HTCondor pool: its configuration, and condor_master under our supervision.

The pool belongs to one ordinary user, listens on the loopback only and takes free ports, so that
any number of pools can live on one machine without knowing of each other.
"""

from __future__ import annotations

import os
import pwd
import signal
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import psutil

from htcondor_operator.condor.install import Condor
from htcondor_operator.vocabulary import ErrorKind, OwlError

EVENT_ATTRIBUTES = (
    "DAGNodeName",
    "DAGManJobId",
    "DAGManNodeRetry",
    "JobBatchName",
    "GlobalJobId",
    "JobUniverse",
    "NumShadowStarts",
    "HoldReasonCode",
    "HoldReasonSubCode",
    "HoldReason",
    "ExitCode",
    "ExitBySignal",
    "ExitSignal",
    "OwlRun",
    "OwlDataset",
    "OwlAttempt",
    "Iwd",
    "Out",
    "Err",
    "UserLog",
    "Owner",
    "JobPrio",
    "RemoteHost",
    "LastRemoteHost",
    "RequestMemory",
    "MemoryUsage",
    "ImageSize",
    "ResidentSetSize",
    "RemoteUserCpu",
    "RemoteSysCpu",
)
"""What every event in the event log carries of the job's ad."""

EVENT_LOG_SETTINGS: dict[str, object] = {
    "EVENT_LOG": "$(LOG)/EventLog",
    "EVENT_LOG_MAX_SIZE": 100_000_000,
    "EVENT_LOG_MAX_ROTATIONS": 20,
    "EVENT_LOG_FORMAT_OPTIONS": "ISO_DATE,UTC,SUB_SECOND",
    "EVENT_LOG_JOB_AD_INFORMATION_ATTRS": ",".join(EVENT_ATTRIBUTES),
    "EVENT_LOG_USE_XML": False,
}
"""What the mirror needs of any pool, a site's too."""

DAGMAN_SETTINGS: dict[str, object] = {
    # A DAG's own CONFIG file cannot go below the pool-wide value.
    "DAGMAN_USER_LOG_SCAN_INTERVAL": 1,
    "DAGMAN_HOLD_CLAIM_TIME": 20,
    "DAGMAN_MAX_RESCUE_NUM": 999,
    "DAGMAN_NODE_RECORD_INFO": "RETRY",
    # From 25.10 on any non-zero exit of a scheduler-universe job delays its restart by 300 s.
    "SCHEDULER_UNIVERSE_COOL_DOWN_DURATION": 2,
    # The defaults (500 and 200) cap the number of concurrent DAGs without a word.
    "START_SCHEDULER_UNIVERSE": "TotalSchedulerJobsRunning < 3000",
    "MAX_RUNNING_SCHEDULER_JOBS_PER_OWNER": 2900,
}

SPEED_SETTINGS: dict[str, object] = {
    "SCHEDD_INTERVAL": 1,
    "SCHEDD_MIN_INTERVAL": 1,
    "NEGOTIATOR_INTERVAL": 1,
    "NEGOTIATOR_MIN_INTERVAL": 1,
    "NEGOTIATOR_CYCLE_DELAY": 1,
    "UPDATE_INTERVAL": 5,
    "RUNBENCHMARKS": 0,
    "CLAIM_WORKLIFE": 3600,
    "JOB_START_DELAY": 0,
    "STARTER_INITIAL_UPDATE_INTERVAL": 2,
    "SHADOW_QUEUE_UPDATE_INTERVAL": 60,
}

MEMORY_SETTINGS: dict[str, object] = {
    # An ordinary user has no control groups: the startd stops jobs by what the starter tells it.
    # Subcode 102 is what HTCondor itself uses for this, and what jobs retry with more memory for.
    "MEMORY_EXCEEDED": "(JobUniverse =!= 13 && MemoryUsage =!= undefined && MemoryUsage > Memory)",
    "PREEMPT": "$(MEMORY_EXCEEDED)",
    "MAXJOBRETIREMENTTIME": "ifThenElse($(MEMORY_EXCEEDED), -1, 0)",
    "WANT_HOLD": "$(MEMORY_EXCEEDED)",
    "WANT_HOLD_SUBCODE": 102,
    "WANT_HOLD_REASON": 'strcat("memory in use (", MemoryUsage, " MB) exceeded the slot\'s ", '
    'Memory, " MB")',
    "STARTER_UPDATE_INTERVAL": 20,
}
"""A job that uses more memory than its slot has is stopped, as it is where a kernel enforces it."""

SECURITY_SETTINGS: dict[str, object] = {
    "SEC_DEFAULT_AUTHENTICATION": "REQUIRED",
    "SEC_DEFAULT_AUTHENTICATION_METHODS": "FS,IDTOKENS",
    "SEC_DEFAULT_INTEGRITY": "REQUIRED",
    "SEC_DEFAULT_ENCRYPTION": "OPTIONAL",
    "SEC_PASSWORD_DIRECTORY": "$(LOCAL_DIR)/secret/passwords.d",
    "SEC_TOKEN_SYSTEM_DIRECTORY": "$(LOCAL_DIR)/secret/tokens.d",
    "SEC_TOKEN_DIRECTORY": "$(LOCAL_DIR)/secret/tokens.d",
    "SEC_TOKEN_POOL_SIGNING_KEY_FILE": "$(LOCAL_DIR)/secret/passwords.d/POOL",
}

ACCESS_LEVELS = (
    "READ",
    "WRITE",
    "DAEMON",
    "NEGOTIATOR",
    "ADMINISTRATOR",
    "CONFIG",
    "ADVERTISE_STARTD",
    "ADVERTISE_SCHEDD",
    "ADVERTISE_MASTER",
)


def configuration(
    condor: Condor, local: Path, *, user: str, cpus: int, extra: Mapping[str, object]
) -> str:
    """Return the text of the pool's condor_config.

    Parameters
    ----------
    condor
        Whose programs to use.
    local
        Folder of the pool's own files.
    user
        The one user that the pool belongs to.
    cpus
        How many one-core jobs may run at once.
    extra
        Further settings; they win over all others.
    """
    own = f"{user}@$(UID_DOMAIN)"
    settings: dict[str, object] = {
        "RELEASE_DIR": condor.release,
        "BIN": condor.bin,
        "SBIN": condor.sbin,
        "LIB": condor.lib,
        "LIBEXEC": condor.libexec,
        "SHARE": condor.share,
        "LOCAL_DIR": local,
        "LOG": "$(LOCAL_DIR)/log",
        "SPOOL": "$(LOCAL_DIR)/spool",
        "EXECUTE": "$(LOCAL_DIR)/execute",
        "LOCK": "$(LOCAL_DIR)/lock",
        "RUN": "$(LOCAL_DIR)/run",
        "LOCAL_CONFIG_FILE": "",
        "LOCAL_CONFIG_DIR": "",
        "CONDOR_HOST": "127.0.0.1",
        "NETWORK_INTERFACE": "127.0.0.1",
        "BIND_ALL_INTERFACES": False,
        "ENABLE_IPV6": False,
        "COLLECTOR_HOST": "$(CONDOR_HOST):0",
        "COLLECTOR_ADDRESS_FILE": "$(LOG)/.collector_address",
        "SHARED_PORT_PORT": 0,
        "UID_DOMAIN": "owl.private",
        "FILESYSTEM_DOMAIN": "$(UID_DOMAIN)",
        "COLLECTOR_NAME": "owl",
        "SCHEDD_NAME": f"{user}@",
        "DAEMON_LIST": "MASTER, COLLECTOR, NEGOTIATOR, SCHEDD, STARTD",
        # An ordinary user has neither control groups nor kernel settings.
        "ENABLE_KERNEL_TUNING": False,
        "CREATE_CGROUP_WITHOUT_ROOT": False,
        "BASE_CGROUP": "",
        "STARTD_ENFORCE_DISK_LIMITS": False,
        "MAIL": "",
        "SCHEDD_RESTART_REPORT": "",
        "NUM_CPUS": cpus,
        "NUM_SLOTS": 1,
        "NUM_SLOTS_TYPE_1": 1,
        "SLOT_TYPE_1": "100%",
        "SLOT_TYPE_1_PARTITIONABLE": True,
        "START": True,
        "SUSPEND": False,
        "KILL": False,
        "SUBMIT_ALLOW_GETENV": True,
        **{f"ALLOW_{level}": own for level in ACCESS_LEVELS},
        # A client answers to a server that may have any identity: the way there is FS or a token.
        "ALLOW_CLIENT": "*",
        **SECURITY_SETTINGS,
        **SPEED_SETTINGS,
        **MEMORY_SETTINGS,
        **DAGMAN_SETTINGS,
        **EVENT_LOG_SETTINGS,
        **extra,
    }
    return "".join(f"{key} = {_text(value)}\n" for key, value in settings.items())


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


@dataclass
class PersonalPool:
    """A private pool in one folder.

    Parameters
    ----------
    condor
        Whose programs to use.
    local
        Folder of the pool. Not below ``/tmp``: DAGMan refuses logs there.
    cpus
        How many one-core jobs may run at once.
    extra
        Further settings of HTCondor; they win.
    """

    condor: Condor
    local: Path
    cpus: int = 4
    extra: Mapping[str, object] = field(default_factory=dict)
    _master: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def config(self) -> Path:
        """The file that CONDOR_CONFIG must name."""
        return self.local / "condor_config"

    @property
    def log(self) -> Path:
        """Folder of the daemons' logs."""
        return self.local / "log"

    @property
    def event_log(self) -> Path:
        """The schedd's log of all events of all jobs."""
        return self.log / "EventLog"

    def environment(self) -> dict[str, str]:
        """Return the variables by which programs and bindings find this pool."""
        env = {k: v for k, v in os.environ.items() if not k.startswith("_CONDOR_")}
        env["CONDOR_CONFIG"] = str(self.config)
        env["PATH"] = self.condor.path(os.environ.get("PATH", os.defpath))
        return env

    def write(self) -> None:
        """Make the folders and write the configuration."""
        for name in ("log", "spool", "execute", "lock", "run"):
            (self.local / name).mkdir(parents=True, exist_ok=True)
        for name in ("passwords.d", "tokens.d"):
            (self.local / "secret" / name).mkdir(parents=True, exist_ok=True, mode=0o700)
        text = configuration(
            self.condor, self.local, user=_user(), cpus=self.cpus, extra=self.extra
        )
        temporary = self.config.with_suffix(".new")
        temporary.write_text(text)
        temporary.replace(self.config)

    def command(self) -> list[str]:
        """Return the command that runs the pool in the foreground."""
        return [str(self.condor.sbin / "condor_master"), "-f"]

    def start(self, timeout: float = 60.0) -> None:
        """Start the pool and wait until it can run jobs."""
        self.write()
        (self.log / ".collector_address").unlink(missing_ok=True)
        with (self.local / "master.out").open("ab") as out:
            self._master = start_master(self.command(), self.environment(), out)
        try:
            self.wait_ready(timeout)
        except OwlError:
            self.stop()
            raise

    def wait_ready(self, timeout: float = 60.0) -> None:
        """Wait until collector, negotiator, schedd and a slot are there."""
        end = time.monotonic() + timeout
        over = False
        while missing := self.missing():
            if over or (self._master is not None and self._master.poll() is not None):
                break
            # The last look is after the time is over: this process may have rested, too.
            over = time.monotonic() > end
            time.sleep(0.25)
        else:
            return
        raise OwlError(
            ErrorKind.SCHEDD_SILENT,
            f"the private pool in {self.local} is not ready after {timeout:.0f} s, "
            f"missing: {missing}.\n{self._last_words()}",
        )

    def missing(self, timeout: float = 10.0) -> str:
        """Return what the pool lacks to run jobs ("" when it lacks nothing)."""
        if not (self.log / ".collector_address").exists():
            return "collector"
        try:
            done = subprocess.run(
                [str(self.condor.bin / "condor_status"), "-any", "-af", "MyType"],
                env=self.environment(),
                capture_output=True,
                text=True,
                timeout=timeout,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return "an answer of the collector"
        found = set(done.stdout.split())
        wanted = {"negotiator": {"Negotiator"}, "schedd": {"Scheduler"}}
        wanted["startd"] = {"Machine", "Slot"}
        return ", ".join(name for name, types in wanted.items() if not types & found)

    def stop(self, timeout: float = 20.0) -> None:
        """Stop all daemons; what does not end in time is killed, by pid."""
        if self._master is not None:
            stop_master(self._master.pid, timeout)
            self._master.wait(5)
            self._master = None

    def _last_words(self) -> str:
        for name in ("../master.out", "MasterLog"):
            path = self.log / name
            if path.exists() and path.stat().st_size:
                lines = path.read_text(errors="replace").splitlines()[-8:]
                return "\n".join([f"{path.resolve()}:", *lines])
        return ""


def start_master(
    command: list[str], environment: Mapping[str, str], out: IO[bytes]
) -> subprocess.Popen[bytes]:
    """Start condor_master in a session of its own."""
    return subprocess.Popen(
        command,
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=out,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


def stop_master(pid: int, timeout: float = 20.0) -> None:
    """Stop a condor_master and every daemon and job below it.

    SIGQUIT is its fast shutdown: the queue stays on disk, running jobs go back to idle.
    """
    try:
        master = psutil.Process(pid)
        family = [master, *master.children(recursive=True)]
        master.send_signal(signal.SIGQUIT)
    except psutil.NoSuchProcess:
        return
    _, alive = psutil.wait_procs(family, timeout)
    for process in alive:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
    psutil.wait_procs(alive, 5)


def _user() -> str:
    return pwd.getpwuid(os.getuid()).pw_name
