"""DATASUM and CHECKSUM of the FITS standard (appendix J): ones' complement sums of 32-bit words."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_EXCLUDE = frozenset([*range(0x3A, 0x41), *range(0x5B, 0x61)])


def ones_complement_sum(data: bytes | memoryview | NDArray[np.uint8], start: int = 0) -> int:
    """Return the 32-bit ones' complement sum of `data`, padded with zeros, plus `start`."""
    octets = np.frombuffer(data, dtype=np.uint8)
    whole = octets.size // 4 * 4
    total = start + int(octets[:whole].view(">u4").sum(dtype=np.uint64))
    if whole < octets.size:
        total += int.from_bytes(octets[whole:].tobytes().ljust(4, b"\0"), "big")
    while total >> 32:
        total = (total & 0xFFFFFFFF) + (total >> 32)
    return total


def encode(value: int) -> str:
    """Return the 16 ASCII characters that make an HDU sum up to zero."""
    complement = 0xFFFFFFFF - value
    out = [0] * 16
    for i in range(4):
        byte = complement >> (24 - 8 * i) & 0xFF
        quotient, remainder = byte // 4 + 0x30, byte % 4
        quad = [quotient + remainder, quotient, quotient, quotient]
        while any(c in _EXCLUDE for c in quad):
            for j in (0, 2):
                if quad[j] in _EXCLUDE or quad[j + 1] in _EXCLUDE:
                    quad[j] += 1
                    quad[j + 1] -= 1
        for j in range(4):
            out[4 * j + i] = quad[j]
    return "".join(chr(c) for c in out[-1:] + out[:-1])
