"""The one error that reading a DAG file can end in."""

from __future__ import annotations

from htcondor_operator.vocabulary import ErrorKind, OwlError


class DagSyntaxError(OwlError):
    """A DAG file is not valid: where, why, and how to write it.

    Parameters
    ----------
    file
        The file as the reader named it (an included or spliced file has its own name).
    line
        First physical line of the command, from 1; 0 when the fault has no single line.
    reason
        What is wrong, ending with the fix.
    """

    def __init__(self, file: str, line: int, reason: str) -> None:
        super().__init__(ErrorKind.BAD_DAG_FILE, f"{file}:{line}: {reason}")
        self.file = file
        self.line = line
        self.reason = reason


class Refused(Exception):
    """A reason, on its way to the place that knows file and line."""
