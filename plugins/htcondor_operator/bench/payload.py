"""``owl bench calibration``: the payload's own bench, called as the command that it is."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

from htcondor_operator.bench import processes
from htcondor_operator.vocabulary import ErrorKind, OwlError


def calibration_bench(words: Sequence[str]) -> dict[str, Any]:
    """Run the payload's bench and return its figures; its progress goes to standard error.

    Raises
    ------
    OwlError
        When it fails; its last words are in the message.
    """
    command = [sys.executable, "-m", "calibration", "bench", "--json", *words]
    last = ""
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stderr is not None
            for line in process.stderr:
                last = line.strip()
                if not last.startswith("calibration:"):
                    sys.stderr.write(line)
                    sys.stderr.flush()
            output = process.stdout.read()
        except BaseException:
            process.terminate()  # it removes its scratch folder
            raise
    if process.returncode:
        raise OwlError(ErrorKind.INTERNAL, last or f"the bench ended with {process.returncode}")
    figures = dict(json.loads(output))
    figures["machine"] = {**figures["machine"], **processes.machine()}
    return figures
