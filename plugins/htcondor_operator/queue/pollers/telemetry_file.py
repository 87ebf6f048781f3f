"""The outside of a telemetry file: whole packets, and whose they are.

A stream of CCSDS space packets as docs/calibration.md lays them out; the payload's 2FITS reads the
rest. Its layout is repeated here because bridge and payload do not import each other.
"""

from __future__ import annotations

import io
import struct
from binascii import crc_hqx
from dataclasses import dataclass
from typing import BinaryIO

from htcondor_operator.queue.pollers.fits_header import Unreadable

_PRIMARY = struct.Struct(">HHH")
_SECONDARY_BYTES = 16
_BASE_APID = 0x320
_APIDS = 16
_CRC_BYTES = 2
_ENGINEERING = 15
_LONGEST_S = 7200
_MOST_ENGINEERING = 16 << 20
# Of the exposure packet: rootname, proposal, instrument ... association, three counts.
_EXPOSURE = struct.Struct(">10sI8s8s4sf8s8sIdddBHH10sBHH")


@dataclass(frozen=True)
class Telemetry:
    """What the first packet says about the exposure."""

    rootname: str
    instrument: str
    association: str


@dataclass(frozen=True)
class Engineering:
    """A part of an exposure's engineering stream.

    Parameters
    ----------
    exposure
        Whose it is, by its first packet.
    needed
        So many seconds cover the exposure.
    seconds
        Those whose packet arrived intact.
    """

    exposure: Telemetry
    needed: int
    seconds: frozenset[int]


def read_engineering(stream: BinaryIO, size: int) -> Engineering:
    """Read a part of an engineering stream: the exposure packet, then one packet per second.

    Raises
    ------
    Unreadable
        It is cut, is no such stream, or its first packet is damaged.
    """
    body = stream.read()
    if size > _MOST_ENGINEERING:
        raise Unreadable(f"it is too long for an engineering stream ({size} bytes)")
    exposure = read_telemetry(io.BytesIO(body), len(body))
    needed, seconds, offset = 0, set(), 0
    while offset < len(body):
        word, _, length = _PRIMARY.unpack_from(body, offset)
        kind, end = (word & 0x7FF) - _BASE_APID, offset + _PRIMARY.size + length + 1
        said = int.from_bytes(body[end - _CRC_BYTES : end], "big")
        intact = crc_hqx(body[offset : end - _CRC_BYTES], 0xFFFF) == said
        if offset == 0:
            if not intact:
                raise Unreadable("its first packet, which describes the exposure, is damaged")
            values = _EXPOSURE.unpack_from(body, _PRIMARY.size + _SECONDARY_BYTES)
            needed = min(max(-(-int(values[8]) // 1000), 1), _LONGEST_S)
        elif kind == _ENGINEERING and intact:
            seconds.add(int.from_bytes(body[offset + 14 : offset + 16], "big"))
        offset = end
    return Engineering(exposure, needed, frozenset(s for s in seconds if s < needed))


def read_telemetry(stream: BinaryIO, size: int) -> Telemetry:
    """Walk over all packets, and read the exposure packet, which is the first one.

    Raises
    ------
    Unreadable
        The last packet is cut, or there is no packet where one should begin.
    """
    found: Telemetry | None = None
    offset = 0
    smallest = _PRIMARY.size + _SECONDARY_BYTES + _CRC_BYTES
    while offset < size:
        head = stream.read(_PRIMARY.size)
        if offset + smallest > size or len(head) < _PRIMARY.size:
            raise _cut(offset, size)
        word, _, length = _PRIMARY.unpack(head)
        kind = (word & 0x7FF) - _BASE_APID
        end = offset + _PRIMARY.size + length + 1
        if word >> 11 != 1 or not 0 <= kind < _APIDS or end - offset < smallest:
            raise Unreadable(f"there is no packet header at byte {offset}: it is damaged")
        if end > size:
            raise _cut(offset, size)
        if found is None:
            body = stream.read(end - offset - _PRIMARY.size)
            found = _exposure(kind, body[_SECONDARY_BYTES:-_CRC_BYTES])
        else:
            stream.seek(end)
        offset = end
    if found is None:
        raise Unreadable("it is empty")
    return found


def _exposure(kind: int, payload: bytes) -> Telemetry:
    if kind != 0 or len(payload) < _EXPOSURE.size:
        raise Unreadable("its first packet does not describe an exposure")
    values = _EXPOSURE.unpack_from(payload)
    return Telemetry(_text(values[0]), _text(values[2]), _text(values[15]))


def _text(raw: bytes) -> str:
    return raw.partition(b"\0")[0].decode("ascii", "replace").strip()


def _cut(offset: int, size: int) -> Unreadable:
    return Unreadable(
        f"it is truncated: the packet at byte {offset} goes beyond its end ({size} bytes)"
    )
