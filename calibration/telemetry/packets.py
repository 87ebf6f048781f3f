"""CCSDS space packets: one image line each, with a CRC, as docs/calibration.md lays them out.

``primary header (6) | secondary header (16) | payload | CRC-16/CCITT (2)``
"""

from __future__ import annotations

import struct
from binascii import crc_hqx
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import IntEnum

from calibration.exit_codes import CalibrationError, ExitCode

BASE_APID = 0x320
PRIMARY = struct.Struct(">HHH")
#: CDS time (day, ms of day, us), line, column, number, chip, flags.
SECONDARY = struct.Struct(">HIHHHHBB")
EXPOSURE = struct.Struct(">10sI8s8s4sf8s8sIdddBHH10sBHH")
SEQUENCE_MODULUS = 1 << 14
SIMULATED_FLAG = 1
FILL = 0x5569
CHUNK = 16_000


class Kind(IntEnum):
    """What a packet carries, by its APID above the base. CHIP + n is the n-th chip's lines."""

    EXPOSURE = 0
    CHIP = 1
    KEYWORDS = 8
    DATA = 9
    ENGINEERING = 15


@dataclass(frozen=True)
class Stamp:
    """The secondary header."""

    day: int
    milliseconds: int
    line: int = 0
    column: int = 0
    number: int = 0
    chip: int = 0
    flags: int = 0


@dataclass(frozen=True)
class Packet:
    """One packet as received."""

    kind: int
    sequence: int
    stamp: Stamp
    payload: memoryview
    intact: bool


@dataclass
class Encoder:
    """Makes packets with a sequence count of their own per APID."""

    counts: dict[int, int] = field(default_factory=dict)

    def packet(self, kind: int, stamp: Stamp, payload: bytes) -> bytes:
        """Return the bytes of one packet."""
        count = self.counts.get(kind, 0)
        self.counts[kind] = (count + 1) % SEQUENCE_MODULUS
        second = SECONDARY.pack(
            stamp.day, stamp.milliseconds, 0, stamp.line, stamp.column, stamp.number,
            stamp.chip, stamp.flags,
        )  # fmt: skip
        length = len(second) + len(payload) + 2
        head = PRIMARY.pack(1 << 11 | BASE_APID + kind, 3 << 14 | count, length - 1)
        body = head + second + payload
        return body + crc_hqx(body, 0xFFFF).to_bytes(2, "big")


def walk(stream: memoryview, file: str) -> Iterator[Packet]:
    """Yield the packets of a stream in the order of arrival.

    Raises
    ------
    CalibrationError
        TELEMETRY_TRUNCATED when the last packet is cut, TELEMETRY_BAD when there is no packet
        where one should begin.
    """
    offset, size = 0, len(stream)
    smallest = PRIMARY.size + SECONDARY.size + 2
    while offset < size:
        if offset + smallest > size:
            raise _truncated(file, offset, size)
        word, sequence, length = PRIMARY.unpack_from(stream, offset)
        kind = (word & 0x7FF) - BASE_APID
        end = offset + PRIMARY.size + length + 1
        if word >> 11 != 1 or not 0 <= kind <= Kind.ENGINEERING or end - offset < smallest:
            raise CalibrationError(
                ExitCode.TELEMETRY_BAD,
                f"{file}: no packet header at byte {offset}; have the exposure sent again",
            )
        if end > size:
            raise _truncated(file, offset, size)
        day, ms, _, line, column, number, chip, flags = SECONDARY.unpack_from(
            stream, offset + PRIMARY.size
        )
        intact = crc_hqx(stream[offset : end - 2], 0xFFFF) == int.from_bytes(
            stream[end - 2 : end], "big"
        )
        yield Packet(
            kind,
            sequence & 0x3FFF,
            Stamp(day, ms, line, column, number, chip, flags),
            stream[offset + PRIMARY.size + SECONDARY.size : end - 2],
            intact,
        )
        offset = end


def _truncated(file: str, offset: int, size: int) -> CalibrationError:
    return CalibrationError(
        ExitCode.TELEMETRY_TRUNCATED,
        f"{file}: the packet at byte {offset} is cut at the file's end ({size} bytes); "
        "have the exposure sent again",
    )
