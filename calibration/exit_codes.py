"""Exit codes of the payload: one table for the producer and for whoever reads a job's result.

Codes 23, 24, 27, 28 and 31 to 34 mean the same as in STScI's caldp.
"""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """Every way in which a node can end."""

    OK = 0
    INTERNAL_ERROR = 1
    USAGE_ERROR = 2
    BAD_NAME = 20
    INPUT_MISSING = 21
    INPUT_CORRUPT = 22
    CALIBRATION_ERROR = 23
    DRIZZLE_ERROR = 24
    TELEMETRY_TRUNCATED = 25
    TELEMETRY_BAD = 26
    BEST_REFERENCES_ERROR = 27
    PREVIEW_ERROR = 28
    REFERENCE_MISSING = 29
    REFERENCE_AMBIGUOUS = 30
    SUBPROCESS_MEMORY_ERROR = 31
    MEMORY_ERROR = 32
    CONTAINER_MEMORY_ERROR = 33
    OS_MEMORY_ERROR = 34
    DISK_FULL = 35
    NOT_WRITABLE = 36
    CHECK_BEFORE_FAILED = 37
    CHECK_AFTER_FAILED = 38
    ARCHIVE_ERROR = 39
    ARCHIVE_NOT_VERIFIED = 40
    STEP_MISSING = 41
    REFERENCE_BAD = 42
    MAPPING_BAD = 43
    ASSOCIATION_ERROR = 44
    CALCOS_MISSING = 45
    NOT_SUPPORTED = 46
    NOT_ARCHIVED = 47
    NOTICE_BAD = 48
    DELIVERY_INCOMPLETE = 49
    DELIVERY_DAMAGED = 50


_SENTENCES: dict[ExitCode, str] = {
    ExitCode.OK: "The node did its work.",
    ExitCode.INTERNAL_ERROR: "The program made a mistake. Report it with the job's error file.",
    ExitCode.USAGE_ERROR: "The command line is not valid. Correct the workflow template.",
    ExitCode.BAD_NAME: "The dataset's name is not allowed. Correct it where it was requested.",
    ExitCode.INPUT_MISSING: "The dataset's files are not in the incoming folder. Deliver them.",
    ExitCode.INPUT_CORRUPT: "An input file is damaged or incomplete. Deliver it again.",
    ExitCode.CALIBRATION_ERROR: "The calibration of an exposure failed (stage 1).",
    ExitCode.DRIZZLE_ERROR: "The combination of exposures on the sky failed (stage 2).",
    ExitCode.TELEMETRY_TRUNCATED: "The telemetry ends too early. Have it sent again.",
    ExitCode.TELEMETRY_BAD: "The telemetry is not a valid packet stream of one exposure.",
    ExitCode.BEST_REFERENCES_ERROR: "The best reference files could not be determined.",
    ExitCode.PREVIEW_ERROR: "The preview could not be made.",
    ExitCode.REFERENCE_MISSING: "A reference file is missing. Deliver it, then run RF again.",
    ExitCode.REFERENCE_AMBIGUOUS: "Several reference files fit equally well. Name the right one.",
    ExitCode.SUBPROCESS_MEMORY_ERROR: "A program that was called ran out of memory.",
    ExitCode.MEMORY_ERROR: "The node ran out of memory. Request more.",
    ExitCode.CONTAINER_MEMORY_ERROR: "The container's memory limit was reached. Request more.",
    ExitCode.OS_MEMORY_ERROR: "The machine had no memory left. Run again elsewhere.",
    ExitCode.DISK_FULL: "The disk is full. Make room, then run the node again.",
    ExitCode.NOT_WRITABLE: "A folder cannot be written. Correct its owner or mode.",
    ExitCode.CHECK_BEFORE_FAILED: "The raw file failed a check before calibration.",
    ExitCode.CHECK_AFTER_FAILED: "A product failed a check after calibration.",
    ExitCode.ARCHIVE_ERROR: "The archive refused or damaged a file.",
    ExitCode.ARCHIVE_NOT_VERIFIED: "The archive's copy does not verify: nothing was cleaned.",
    ExitCode.STEP_MISSING: "An earlier node's file is not there. Run that node first.",
    ExitCode.REFERENCE_BAD: "A reference file does not fit the exposure or is damaged.",
    ExitCode.MAPPING_BAD: "A CRDS mapping is broken. Restore it from CRDS.",
    ExitCode.ASSOCIATION_ERROR: "The association's table or members are not consistent.",
    ExitCode.CALCOS_MISSING: "COS exposures need calcos, which is not installed.",
    ExitCode.NOT_SUPPORTED: "This mode of the instrument is not supported yet.",
    ExitCode.NOT_ARCHIVED: "The archive does not hold what is needed of this dataset.",
    ExitCode.NOTICE_BAD: "The delivery notice is not valid. Have it sent again.",
    ExitCode.DELIVERY_INCOMPLETE: "Files of the delivery are missing. Have them sent.",
    ExitCode.DELIVERY_DAMAGED: "Delivered files differ from the notice. Have them sent again.",
}

#: code -> (name, sentence).
TABLE: dict[int, tuple[str, str]] = {
    int(code): (code.name.lower(), sentence) for code, sentence in _SENTENCES.items()
}


class CalibrationError(Exception):
    """An expected failure: a named code, and what the operator should do.

    Parameters
    ----------
    code
        How the node ends.
    message
        Names the file and field, and what to do.
    """

    def __init__(self, code: ExitCode, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
