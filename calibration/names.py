"""Names of datasets and files. Everything that becomes a path is checked here first."""

from __future__ import annotations

import re

from calibration.exit_codes import CalibrationError, ExitCode

_DATASET = re.compile(r"[A-Za-z0-9][A-Za-z0-9_+\-]{0,62}", re.ASCII)
_REFERENCE = re.compile(r"(?:[A-Za-z]{1,8}\$)?[A-Za-z0-9][A-Za-z0-9_.+\-]{0,80}\.fits(?:\.gz)?")

#: Headers say this when a reference file is not used.
NO_FILE = frozenset({"", "N/A", "NONE", "NOT FOUND", "UNDEFINED"})


def dataset_name(value: str) -> str:
    """Return `value` in lower case if it can name a dataset, else raise BAD_NAME."""
    if _DATASET.fullmatch(value):
        return value.lower()
    raise CalibrationError(
        ExitCode.BAD_NAME,
        f"dataset {value!r}: 1 to 63 letters, digits, '_', '+' or '-' are allowed, beginning "
        "with a letter or digit; correct --dataset",
    )


def is_reference(value: str) -> bool:
    """Whether a header value names a reference file."""
    return value.strip().upper() not in NO_FILE


def reference_file(value: str, keyword: str) -> str:
    """Return the bare file name of a header value such as ``jref$n3o1059hj_drk.fits``."""
    text = value.strip()
    if not _REFERENCE.fullmatch(text):
        raise CalibrationError(
            ExitCode.CHECK_BEFORE_FAILED,
            f"{keyword} = {value!r} is not the name of a reference file; run RF again",
        )
    return text.rpartition("$")[2]
