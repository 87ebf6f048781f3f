"""The words of OWL: states, kinds of error, and the names that may come in from outside.

Every string that crosses the border (a dataset name, a DAG-run conf, a file name, a job ad) is
checked here, once, by a function that returns it unchanged or raises :class:`InvalidName`.
"""

from __future__ import annotations

import re
from enum import StrEnum


class NodeState(StrEnum):
    """State of one try of a DAGMan node."""

    UNREADY = "unready"
    READY = "ready"
    SUBMITTED = "submitted"
    IDLE = "idle"
    RUNNING = "running"
    HELD = "held"
    DONE = "done"
    FAILED = "failed"
    FUTILE = "futile"
    REMOVED = "removed"
    UNKNOWN = "unknown"

    @property
    def is_final(self) -> bool:
        """Whether nothing more will happen to this try by itself."""
        return self in FINAL_NODE_STATES

    @property
    def is_queued(self) -> bool:
        """Whether a job of this try is in the schedd's queue."""
        return self in QUEUED_NODE_STATES


FINAL_NODE_STATES = frozenset(
    {NodeState.DONE, NodeState.FAILED, NodeState.FUTILE, NodeState.REMOVED}
)
QUEUED_NODE_STATES = frozenset(
    {NodeState.SUBMITTED, NodeState.IDLE, NodeState.RUNNING, NodeState.HELD}
)


class RunState(StrEnum):
    """State of one dataset's way through one workflow."""

    QUEUED = "queued"
    LAUNCHING = "launching"
    RUNNING = "running"
    HELD = "held"
    FAILED = "failed"
    RESCUED = "rescued"
    DONE = "done"
    REMOVED = "removed"
    UNKNOWN = "unknown"


class AttemptState(StrEnum):
    """State of one DAGMan cluster of a run, from the wish to the end.

    ``wanted`` -> ``clearing`` (the predecessor is being stopped) -> ``submitting`` -> ``live``
    -> one of the final states. ``refused`` means that nothing was submitted, and why is in
    ``error_kind`` and ``error_message``.
    """

    WANTED = "wanted"
    CLEARING = "clearing"
    SUBMITTING = "submitting"
    LIVE = "live"
    DONE = "done"
    FAILED = "failed"
    REMOVED = "removed"
    REFUSED = "refused"

    @property
    def is_final(self) -> bool:
        """Whether this attempt can never become live again."""
        return self in FINAL_ATTEMPT_STATES


FINAL_ATTEMPT_STATES = frozenset(
    {AttemptState.DONE, AttemptState.FAILED, AttemptState.REMOVED, AttemptState.REFUSED}
)


class AttemptKind(StrEnum):
    """Why an attempt exists."""

    FIRST = "first"
    RESCUE = "rescue"
    FRESH = "fresh"


class CommandVerb(StrEnum):
    """What an operator can ask of the gateway about a run or a node."""

    HOLD = "hold"
    RELEASE = "release"
    REMOVE = "remove"
    PRIORITY = "priority"


class CommandState(StrEnum):
    """How far the gateway is with a command."""

    WANTED = "wanted"
    DONE = "done"
    FAILED = "failed"


class EntryState(StrEnum):
    """State of an entry of the queue.

    Only ``waiting`` entries are shoveled. ``held`` is an operator's word about one entry,
    ``paused`` its campaign's. An ``informational`` entry only says why something has not started.
    """

    WAITING = "waiting"
    HELD = "held"
    PAUSED = "paused"
    INFORMATIONAL = "informational"


class EntryOutcome(StrEnum):
    """What became of an entry that has left the queue.

    ``shoveled``: it is in Airflow and not known to be over. ``resolved``: an informational entry
    whose reason is gone.
    """

    SHOVELED = "shoveled"
    DONE = "done"
    FAILED = "failed"
    REMOVED = "removed"
    CANCELLED = "cancelled"
    RESOLVED = "resolved"


class Informational(StrEnum):
    """Types of informational entries: why something has not started.

    ``awaiting_sci_jit``: an exposure waits for its jitter file to be delivered.
    ``awaiting_gsa_jit``: it waits for the one that our own pipeline makes of its engineering
    stream.
    ``collecting_asn_sci``: an association's members are still coming. ``collecting_eng``: parts of
    an exposure's engineering stream are still coming.
    """

    AWAITING_SCI_JIT = "awaiting_sci_jit"
    AWAITING_GSA_JIT = "awaiting_gsa_jit"
    COLLECTING_ASN_SCI = "collecting_asn_sci"
    COLLECTING_ENG = "collecting_eng"


class ArrivalState(StrEnum):
    """What became of a delivered file.

    ``accepted``: journalled, on its way to its place. Then one of: ``queued`` (it has an entry),
    ``collected`` (its association or a jitter file is waited for), ``stored`` (a companion file),
    ``verified`` (its checksum was asked for), ``duplicate``, ``quarantined``, and
    from there ``discarded`` (deleted by an operator).
    """

    ACCEPTED = "accepted"
    QUEUED = "queued"
    COLLECTED = "collected"
    STORED = "stored"
    VERIFIED = "verified"
    DUPLICATE = "duplicate"
    QUARANTINED = "quarantined"
    DISCARDED = "discarded"


class AssociationState(StrEnum):
    """How far the collection of an association's members is."""

    COLLECTING = "collecting"
    QUEUED = "queued"
    EXPIRED = "expired"


class CampaignState(StrEnum):
    """State of a campaign.

    ``proposed`` ones wait for approval. ``done`` is never kept: a running campaign with nothing
    open is shown so, and runs again when one of its datasets is rescued.
    """

    PROPOSED = "proposed"
    REJECTED = "rejected"
    RUNNING = "running"
    PAUSED = "paused"
    CANCELLED = "cancelled"
    DONE = "done"


class MemberState(StrEnum):
    """State of one dataset of a campaign, as queue, history and Airflow know it at the moment."""

    WAITING = "waiting"
    HELD = "held"
    PAUSED = "paused"
    STARTING = "starting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    REMOVED = "removed"
    CANCELLED = "cancelled"
    REFUSED = "refused"
    UNKNOWN = "unknown"

    @property
    def is_open(self) -> bool:
        """Whether its end is still to come."""
        return self in OPEN_MEMBER_STATES


OPEN_MEMBER_STATES = frozenset(
    {
        MemberState.WAITING,
        MemberState.HELD,
        MemberState.PAUSED,
        MemberState.STARTING,
        MemberState.RUNNING,
    }
)


class PollerState(StrEnum):
    """State of a poller, by its own heartbeat."""

    RUNNING = "running"
    PAUSED = "paused"
    FAILING = "failing"


class Source(StrEnum):
    """Where a row's knowledge comes from."""

    PLAN = "plan"
    EVENT_LOG = "event_log"
    NODE_STATUS = "node_status"
    SCHEDD = "schedd"
    HISTORY = "history"
    OPERATOR = "operator"


class ErrorKind(StrEnum):
    """Kinds of error, each with a sentence for the operator in :data:`ERROR_SENTENCES`."""

    BAD_NAME = "bad_name"
    BAD_CONF = "bad_conf"
    BAD_TEMPLATE = "bad_template"
    BAD_DAG_FILE = "bad_dag_file"
    MISSING_EXECUTABLE = "missing_executable"
    DISK_FULL = "disk_full"
    NOT_WRITABLE = "not_writable"
    SUBMIT_REFUSED = "submit_refused"
    SCHEDD_SILENT = "schedd_silent"
    PREDECESSOR_STUCK = "predecessor_stuck"
    NODE_FAILED = "node_failed"
    NODE_SIGNALLED = "node_signalled"
    NODE_REMOVED = "node_removed"
    NODE_HELD = "node_held"
    DAGMAN_DIED = "dagman_died"
    INTERNAL = "internal"


ERROR_SENTENCES: dict[ErrorKind, str] = {
    ErrorKind.BAD_NAME: "A name is not allowed. Correct it where the run was requested.",
    ErrorKind.BAD_CONF: "The run's conf does not fit the workflow. Correct the named field.",
    ErrorKind.BAD_TEMPLATE: "The workflow template does not render. Correct the template.",
    ErrorKind.BAD_DAG_FILE: "The rendered DAG file is not valid DAGMan. Correct the template.",
    ErrorKind.MISSING_EXECUTABLE: "A node's executable does not exist or cannot be executed.",
    ErrorKind.DISK_FULL: "The disk is full. Make room, then clear the launch task.",
    ErrorKind.NOT_WRITABLE: "The run's folder cannot be written. Correct owner or mode.",
    ErrorKind.SUBMIT_REFUSED: "HTCondor refused the submission. Its reason is in the message.",
    ErrorKind.SCHEDD_SILENT: "The schedd does not answer. OWL goes on trying.",
    ErrorKind.PREDECESSOR_STUCK: "The previous attempt does not leave the queue.",
    ErrorKind.NODE_FAILED: "The node's program ended with a non-zero exit code.",
    ErrorKind.NODE_SIGNALLED: "The node's program was killed by a signal.",
    ErrorKind.NODE_REMOVED: "The node's job was removed from the queue.",
    ErrorKind.NODE_HELD: "The node's job is held. Correct the hold reason, then release it.",
    ErrorKind.DAGMAN_DIED: "DAGMan ended without a word about this node. Clear it to rescue.",
    ErrorKind.INTERNAL: "OWL made a mistake. Report it with the log.",
}


class OwlError(Exception):
    """An error that an operator can act on: a kind, and a message with field, value and fix."""

    def __init__(self, kind: ErrorKind, message: str) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message


class InvalidName(OwlError, ValueError):
    """A string from outside is not a name that OWL accepts."""

    def __init__(self, field: str, value: object, rule: str) -> None:
        super().__init__(ErrorKind.BAD_NAME, f"{field} {value!r} is not valid: {rule}.")
        self.field = field
        self.value = value


_IPPPSSOOT = re.compile(r"[ijlo][a-z0-9]{8}", re.ASCII)
_DATASET = re.compile(r"[A-Za-z0-9][A-Za-z0-9_+\-]{0,62}", re.ASCII)
_WORKFLOW = re.compile(r"[a-z][a-z0-9_]{0,62}", re.ASCII)
_CAMPAIGN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:+\-]{0,99}", re.ASCII)
_NODE = re.compile(r"[A-Za-z0-9_.+\-@:]{1,200}", re.ASCII)
_TASK_UNSAFE = re.compile(r"[^A-Za-z0-9_.\-]")


def dataset_name(value: object, field: str = "dataset") -> str:
    """Return `value` if it can name a dataset; raise :class:`InvalidName` if not."""
    if isinstance(value, str) and _DATASET.fullmatch(value):
        return value
    raise InvalidName(
        field, value, "1 to 63 letters, digits, '_', '+' or '-', beginning with a letter or digit"
    )


def is_ipppssoot(value: str) -> bool:
    """Whether `value` is an HST rootname of an instrument that OWL ships workflows for."""
    return _IPPPSSOOT.fullmatch(value) is not None


def workflow_name(value: object, field: str = "workflow") -> str:
    """Return `value` if it can name a workflow; raise :class:`InvalidName` if not."""
    if isinstance(value, str) and _WORKFLOW.fullmatch(value):
        return value
    raise InvalidName(
        field, value, "1 to 63 lower-case letters, digits or '_', beginning with a letter"
    )


def node_name(value: object, field: str = "node") -> str:
    """Return `value` if it can name a DAGMan node; raise :class:`InvalidName` if not."""
    if isinstance(value, str) and _NODE.fullmatch(value):
        return value
    raise InvalidName(field, value, "1 to 200 letters, digits or any of '_.+-@:'")


def campaign_name(value: object, field: str = "campaign") -> str:
    """Return `value` if it can name a campaign; raise :class:`InvalidName` if not."""
    if isinstance(value, str) and _CAMPAIGN.fullmatch(value):
        return value
    raise InvalidName(
        field, value, "1 to 100 letters, digits or any of '_.:+-', beginning with a letter or digit"
    )


def priority(value: object, field: str = "priority") -> int:
    """Return `value` as an HTCondor job priority; raise :class:`InvalidName` if it is not one."""
    if isinstance(value, int) and not isinstance(value, bool) and -10_000 <= value <= 10_000:
        return value
    raise InvalidName(field, value, "a whole number from -10000 to 10000")


def task_id_for(node: str) -> str:
    """Return the Airflow task id that stands for a DAGMan node (its name when Airflow allows)."""
    return _TASK_UNSAFE.sub("_", node)
