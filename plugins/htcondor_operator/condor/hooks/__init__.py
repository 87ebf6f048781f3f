"""Starter hooks: small scripts for execute machines, and the pool's settings that name them."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

SCRIPT = "job_telemetry.sh"

TRANSFER_KEYWORD = "OWL"
"""For every job: numbers while it runs, and once more at its end."""

SHARED_KEYWORD = "OWLSHARED"
"""For jobs with ``should_transfer_files = NO`` only: the exit hook as well.

In HTCondor 25.14.1 an exit hook on a job that transfers files makes the starter leave before it
has reported the end; the job is evicted and runs again for ever.
"""

UPDATE_SECONDS = 20


def starter_hook_config(folder: Path | None = None) -> Mapping[str, str]:
    """Return the settings of an execute machine that switch the hooks on.

    Jobs without ``want_io_proxy = true`` are not affected: their hook has nowhere to write.

    Parameters
    ----------
    folder
        Where to put the script, readable for the jobs' users; by default it is used where this
        package is installed.
    """
    script = _installed(folder)
    return {
        f"{TRANSFER_KEYWORD}_HOOK_UPDATE_JOB_INFO": str(script),
        f"{SHARED_KEYWORD}_HOOK_UPDATE_JOB_INFO": str(script),
        f"{SHARED_KEYWORD}_HOOK_JOB_EXIT": str(script),
        "STARTER_DEFAULT_JOB_HOOK_KEYWORD": TRANSFER_KEYWORD,
        "STARTER_INITIAL_UPDATE_INTERVAL": "2",
        "STARTER_UPDATE_INTERVAL": str(UPDATE_SECONDS),
    }


def _installed(folder: Path | None) -> Path:
    packaged = Path(__file__).with_name(SCRIPT)
    if folder is None:
        return packaged
    folder.mkdir(parents=True, exist_ok=True)
    copy = folder / SCRIPT
    temporary = copy.with_suffix(".new")
    shutil.copyfile(packaged, temporary)
    # A wheel may have lost the mode.
    temporary.chmod(0o755)
    temporary.replace(copy)
    return copy
