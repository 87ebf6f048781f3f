"""The engineering stream of an exposure: files of 1 Hz packets, in one part or several.

``<root>.eng`` or ``<root>_<n>.eng``: the exposure packet (whose exposure, from when, how long),
then packets of kind ENGINEERING. Parts may overlap; a damaged packet is as good as a lost one.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from calibration.exit_codes import CalibrationError, ExitCode
from calibration.telemetry.packets import (
    EXPOSURE,
    SIMULATED_FLAG,
    Encoder,
    Kind,
    Packet,
    Stamp,
    walk,
)

#: Second since the exposure's start, V2 and V3 offsets (mas), detector temperature (C).
FIELDS = 4
LONGEST_S = 7200
_SUFFIX = ".eng"


@dataclass(frozen=True)
class Engineering:
    """What the parts of an exposure's stream say together.

    Parameters
    ----------
    facts
        Of the exposure packet, by the names of `EXPOSURE_FIELDS`.
    start
        Start of the exposure, MJD.
    needed
        Seconds that cover the exposure.
    samples
        One row per second that arrived, sorted, shape (n, 4).
    simulated
        Whether the packets say that they are.
    """

    facts: dict[str, Any]
    start: float
    needed: int
    samples: Any
    simulated: bool


EXPOSURE_FIELDS = (
    "rootname", "proposal", "instrument", "detector", "amps", "gain", "filter1", "filter2",
    "exposure_ms", "ra", "dec", "pa", "chips", "nx", "ny", "asn", "hdus", "keyword_packets",
    "data_packets",
)  # fmt: skip
_EPOCH_MJD = 36204


def exposure_facts(packet: Packet, file: str) -> dict[str, Any]:
    """Return what an exposure packet says; TELEMETRY_BAD when it has another layout."""
    if len(packet.payload) != EXPOSURE.size:
        raise CalibrationError(
            ExitCode.TELEMETRY_BAD, f"{file}: the exposure packet has another layout"
        )
    values = EXPOSURE.unpack(packet.payload)
    return {
        name: value.rstrip(b"\0 ").decode("latin-1") if isinstance(value, bytes) else value
        for name, value in zip(EXPOSURE_FIELDS, values, strict=True)
    }


def parts_of(folder: Path, root: str) -> list[Path]:
    """Return the delivered parts of an exposure's engineering stream, in order of their names."""
    form = re.compile(re.escape(root) + r"(_\d+)?" + re.escape(_SUFFIX), re.ASCII)
    found = folder.glob(f"{root}*{_SUFFIX}")
    return sorted(path for path in found if form.fullmatch(path.name))


def collect(streams: Iterable[tuple[str, bytes]], root: str) -> Engineering:
    """Put parts together.

    Raises
    ------
    CalibrationError
        INPUT_MISSING without a part; TELEMETRY_BAD when a part is of another exposure or none says
        which; TELEMETRY_TRUNCATED when one is cut.
    """
    facts: dict[str, Any] = {}
    start, simulated, file = 0.0, False, f"{root}{_SUFFIX}"
    seconds: dict[int, Any] = {}
    for file, content in streams:
        for packet in walk(memoryview(content), file):
            if not packet.intact:
                continue
            if packet.kind == Kind.EXPOSURE:
                facts = exposure_facts(packet, file)
                start = _EPOCH_MJD + packet.stamp.day + packet.stamp.milliseconds / 86_400_000
                if facts["rootname"].lower() != root:
                    raise CalibrationError(
                        ExitCode.TELEMETRY_BAD,
                        f"{file} is of exposure {facts['rootname'].lower()!r}, not {root!r}; "
                        "correct the file's name",
                    )
            elif packet.kind == Kind.ENGINEERING and len(packet.payload) == 4 * FIELDS:
                sample = np.frombuffer(packet.payload, ">f4").astype(np.float64)
                if np.isfinite(sample).all():
                    seconds.setdefault(packet.stamp.line, sample)
                simulated |= bool(packet.stamp.flags & SIMULATED_FLAG)
    if not facts:
        raise CalibrationError(
            ExitCode.TELEMETRY_BAD,
            f"{file}: no exposure packet arrived intact; have the engineering stream sent again",
        )
    needed = seconds_needed(facts["exposure_ms"])
    rows = [seconds[second] for second in sorted(seconds) if second < needed]
    samples = np.array(rows).reshape(-1, FIELDS)
    return Engineering(facts, start, needed, samples, simulated)


def seconds_needed(exposure_ms: int) -> int:
    """Return how many packets cover an exposure."""
    return min(max(math.ceil(exposure_ms / 1000), 1), LONGEST_S)


def simulated_packets(encoder: Encoder, root: str, start: float, seconds: float) -> list[bytes]:
    """Return a simulated 1 Hz stream: time, V2 and V3 jitter (mas), detector temperature (C)."""
    seed = int.from_bytes(hashlib.sha256(root.encode()).digest()[:8], "big")
    random = np.random.default_rng(seed)
    count = min(int(seconds) + 1, LONGEST_S)
    jitter = random.normal(0.0, 3.0, (count, 2))
    temperature = -80.0 + random.normal(0.0, 0.05, count)
    out = []
    for second in range(count):
        moment = start + second / 86400.0
        day = int(moment)
        stamp = Stamp(
            day - _EPOCH_MJD, int((moment - day) * 86_400_000), second, flags=SIMULATED_FLAG
        )
        values = np.array([second, *jitter[second], temperature[second]], ">f4")
        out.append(encoder.packet(Kind.ENGINEERING, stamp, values.tobytes()))
    return out


def split(packets: Sequence[bytes], parts: int) -> list[bytes]:
    """Return an exposure's engineering files: its exposure packet before each part of the stream.

    Parameters
    ----------
    packets
        All packets of the exposure, the exposure packet first.
    parts
        How many files.
    """
    stream = [p for p in packets if next(walk(memoryview(p), "")).kind == Kind.ENGINEERING]
    step = -(-len(stream) // parts)
    pieces = (stream[i * step : (i + 1) * step] for i in range(parts))
    return [b"".join([packets[0], *piece]) for piece in pieces]
