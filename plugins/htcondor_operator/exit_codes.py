"""What a job's exit code means, as the payload's own tables say.

A payload publishes a mapping of code -> (name, sentence) under the entry-point group
``htcondor_operator.exit_codes``. If two tables know a code, the one with the first name wins.
"""

from __future__ import annotations

import logging
import signal
from collections.abc import Mapping
from functools import cache
from importlib.metadata import entry_points

log = logging.getLogger(__name__)

GROUP = "htcondor_operator.exit_codes"

_SHELL = {
    126: ("not_executable", "The program exists but cannot be executed. Correct its mode."),
    127: ("not_found", "The program was not found. Correct the template's executable."),
}


@cache
def exit_codes() -> Mapping[int, tuple[str, str]]:
    """Return all published codes, read once per process."""
    codes: dict[int, tuple[str, str]] = {}
    for entry in sorted(entry_points(group=GROUP), key=lambda entry: entry.name):
        try:
            table: Mapping[int, tuple[str, str]] = entry.load()
            found = {int(code): (str(name), str(text)) for code, (name, text) in table.items()}
        except Exception:  # a broken payload must not hide the failure that is being told
            log.exception("The exit codes of %s cannot be read", entry.value)
            continue
        codes = {**found, **codes}
    return codes


def describe_exit(code: int) -> tuple[str, str]:
    """Return the name of an exit code and a sentence for the operator."""
    known = exit_codes().get(code) or _SHELL.get(code)
    if known:
        return known
    if code > 128 and code - 128 in {int(number) for number in signal.Signals}:
        name, sentence = describe_signal(code - 128)
        return name, f"A shell reports: {sentence}"
    return f"exit_{code}", "No table names this exit code. Read the job's error output."


def describe_signal(number: int) -> tuple[str, str]:
    """Return the name of a signal that ended a job and a sentence for the operator."""
    try:
        name = signal.Signals(number).name
    except ValueError:
        name = f"signal {number}"
    hint = " Often that is too little memory." if number == signal.SIGKILL else ""
    return name.lower(), f"The program was killed by {name}.{hint}"
