"""Faults of a telemetry stream on request, with the truth about which pixels they hit.

Only image lines are lost or damaged: without its keyword packets an exposure is not rebuilt at all.
Every choice follows from the seed, so that a test can predict each pixel from the truth alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from calibration.exit_codes import CalibrationError, ExitCode
from calibration.fits.files import temporary
from calibration.telemetry.packets import FILL, PRIMARY, SECONDARY, Kind, walk

_HEAD = PRIMARY.size + SECONDARY.size


@dataclass(frozen=True)
class Faults:
    """What goes wrong on the way.

    Parameters
    ----------
    missing
        Image lines that never arrive.
    crc
        Image lines of which one bit is flipped, in a pixel: the CRC says so.
    duplicate
        Packets of any kind that arrive twice.
    reorder
        Whether packets arrive in a random order.
    truncate
        Bytes that are cut off at the end.
    """

    missing: int = 0
    crc: int = 0
    duplicate: int = 0
    reorder: int = 0
    truncate: int = 0

    def __bool__(self) -> bool:
        """Whether there is any."""
        return any(getattr(self, field.name) for field in fields(self))


def parse(words: Iterable[str]) -> Faults:
    """Return the faults that options name: ``missing=3``, ``crc=2``, ``reorder`` ...

    Raises
    ------
    CalibrationError
        USAGE_ERROR; the word is named.
    """
    known = [field.name for field in fields(Faults)]
    values: dict[str, int] = {}
    for word in words:
        name, equals, text = word.partition("=")
        number = int(text) if text.isascii() and text.isdigit() else 0
        if name not in known or (number < 1 if equals else name != "reorder"):
            raise CalibrationError(
                ExitCode.USAGE_ERROR,
                f"--fault {word!r} is not known; write reorder, or NAME=NUMBER with a NAME of: "
                f"{', '.join(n for n in known if n != 'reorder')}",
            )
        values[name] = values.get(name, 0) + (number or 1)
    return Faults(**values)


def spoil(packets: Sequence[bytes], faults: Faults, seed: int) -> tuple[bytes, dict[str, Any]]:
    """Return the stream with faults, and the truth about them.

    Parameters
    ----------
    packets
        As :func:`calibration.telemetry.from_raw.encode` makes them.
    faults, seed
        What goes wrong; the same seed chooses the same lines and pixels.

    Returns
    -------
    bytes, dict
        The stream; and ``chips`` (for each its lines that are ``missing``, and ``damaged`` ones
        with the pixel whose value changed), ``duplicated``, ``reordered``, ``truncated``.

    Raises
    ------
    CalibrationError
        USAGE_ERROR when there are fewer lines than faults.
    """
    random = np.random.default_rng([seed, 1958])
    marked = [next(walk(memoryview(packet), "")) for packet in packets]
    lines = [i for i, p in enumerate(marked) if Kind.CHIP <= p.kind < Kind.KEYWORDS]
    if faults.missing + faults.crc > len(lines):
        raise CalibrationError(
            ExitCode.USAGE_ERROR,
            f"{faults.missing} missing and {faults.crc} damaged lines are more than the "
            f"{len(lines)} that there are; ask for fewer",
        )
    chosen = random.permutation(lines)[: faults.missing + faults.crc].tolist()
    lost, hit = set(chosen[: faults.missing]), chosen[faults.missing :]
    chips = _chips([marked[i].kind for i in lines])
    for index in sorted(lost):
        chips[marked[index].kind]["missing"].append(marked[index].stamp.line)
    out = list(packets)
    for index in sorted(hit):
        out[index], record = _flip(packets[index], random)
        record["line"] = marked[index].stamp.line
        chips[marked[index].kind]["damaged"].append(record)
    kept = [packet for i, packet in enumerate(out) if i not in lost]
    again = random.integers(0, len(kept), faults.duplicate).tolist()
    # The exposure packet stays the first: pollers read whose stream it is from there.
    tail = [*kept[1:], *(kept[i] for i in again)]
    if faults.reorder:
        tail = [tail[i] for i in random.permutation(len(tail))]
    stream = b"".join([kept[0], *tail])
    if faults.truncate:
        stream = stream[: -faults.truncate]
    return stream, {
        "seed": seed, "fill": FILL, "chips": list(chips.values()),
        "duplicated": faults.duplicate, "reordered": bool(faults.reorder),
        "truncated": faults.truncate,
    }  # fmt: skip


def _chips(kinds: Sequence[int]) -> dict[int, dict[str, Any]]:
    """Return an empty record per chip; EXTVER counts the chips in the order of the raw file."""
    return {
        kind: {"extver": kind - Kind.CHIP + 1, "lines": kinds.count(kind)}
        | {"missing": [], "damaged": []}
        for kind in sorted(set(kinds))
    }


def _flip(packet: bytes, random: np.random.Generator) -> tuple[bytes, dict[str, int]]:
    """Flip one bit of one pixel; return the packet and the pixel's column, old and new value."""
    content = bytearray(packet)
    columns = (len(packet) - _HEAD - 2) // 2
    column = int(random.integers(columns))
    at = _HEAD + 2 * column
    was = int.from_bytes(content[at : at + 2], "big")
    now = was ^ 1 << int(random.integers(16))
    content[at : at + 2] = now.to_bytes(2, "big")
    return bytes(content), {"column": column, "was": was, "is": now}


def write_stream(
    target: Path,
    packets: Sequence[bytes],
    faults: Faults,
    seed: int,
    truth_folder: Path | None = None,
) -> None:
    """Write a telemetry file; with faults, their truth as ``<root>_faults.json``.

    The truth lies beside the telemetry unless a folder is given.
    """
    if faults:
        stream, truth = spoil(packets, faults, seed)
        folder = truth_folder or target.parent
        folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps({"dataset": target.stem, **truth}, indent=1) + "\n"
        _put(folder / f"{target.stem}_faults.json", text.encode())
    else:
        stream = b"".join(packets)
    _put(target, stream)


def _put(target: Path, content: bytes) -> None:
    draft = temporary(target)
    try:
        draft.write_bytes(content)
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)
