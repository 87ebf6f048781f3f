"""What a failed job said last, and what is left of it without names and numbers."""

from __future__ import annotations

import hashlib
import re

LONGEST = 2_000

_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|[\x00-\x08\x0b-\x1f\x7f]")
_PARTICULARS = (
    (re.compile(r"https?://\S+"), "URL"),
    (re.compile(r"(?<![\w.])(?:/[^\s:,;'\"()]+)+"), "PATH"),
    (re.compile(r"\b\w[\w.\-]*\.(?:fits|fits\.gz|tlm|json|err|out|log|dag)\b"), "FILE"),
    (re.compile(r"\b[ijlo][a-z0-9]{8}\b"), "DATASET"),
    (re.compile(r"\b0x[0-9a-fA-F]+\b|\b[0-9a-f]{12,}\b"), "HEX"),
    (re.compile(r"[-+]?\d[\d.,:eE+\-]*"), "#"),
)


def last_words(text: str) -> str | None:
    """Return the line of an error output that says most: the last that is not empty.

    A traceback's last line is its exception, a payload's last line its message.
    """
    lines = [_CONTROL.sub("", line).strip() for line in text.splitlines()]
    said = [line for line in lines if line]
    return said[-1][:LONGEST] if said else None


def fingerprint(message: str, *names: str) -> str:
    """Return what a message has in common with those of other datasets of the same cause.

    Parameters
    ----------
    message
        One line.
    names
        Words that are particular to this dataset, such as its name.

    Returns
    -------
    str
        Sixteen hexadecimal digits.
    """
    for name in sorted(names, key=len, reverse=True):
        if name:
            message = message.replace(name, "DATASET")
    for pattern, word in _PARTICULARS:
        message = pattern.sub(word, message)
    common = " ".join(message.lower().split())
    return hashlib.sha256(common.encode()).hexdigest()[:16]
