"""Telemetry to ``_raw`` and ``_spt``: the packets of one exposure put together again."""

from __future__ import annotations

import mmap
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from calibration.arrays.dq import LOST, REED_SOLOMON
from calibration.context import Context, step
from calibration.exit_codes import CalibrationError, ExitCode
from calibration.fits import Column, Hdu, Header, image_hdu, table_hdu, write
from calibration.fits.files import BLOCK, temporary
from calibration.telemetry.engineering import exposure_facts
from calibration.telemetry.packets import FILL, SIMULATED_FLAG, Kind, Packet, walk


@dataclass
class Chip:
    """Lines of one chip: counts, and 0 = lost, 1 = damaged, 2 = good per line."""

    counts: Any
    state: Any


@dataclass
class Received:
    """What a stream held."""

    facts: dict[str, Any] = field(default_factory=dict)
    keywords: dict[tuple[int, int], Packet] = field(default_factory=dict)
    data: dict[tuple[int, int], Packet] = field(default_factory=dict)
    chips: list[Chip] = field(default_factory=list)
    engineering: dict[int, Packet] = field(default_factory=dict)
    duplicates: int = 0
    packets: int = 0


def convert(telemetry: Path, context: Context) -> None:
    """Write ``_raw`` (and ``_spt``) from a telemetry file."""
    with telemetry.open("rb") as stream:
        try:
            mapped = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
        except ValueError:
            raise CalibrationError(
                ExitCode.TELEMETRY_TRUNCATED, f"{telemetry.name} is empty; have it sent again"
            ) from None
    received = receive(memoryview(mapped), telemetry.name)
    rootname = received.facts["rootname"].lower()
    if rootname != context.dataset:
        raise CalibrationError(
            ExitCode.TELEMETRY_BAD,
            f"{telemetry.name} holds exposure {rootname!r}, not {context.dataset!r}; correct the "
            "file's name or the dataset",
        )
    write_raw(received, context.product("raw"), telemetry.name)
    _write_spt(received, context)


def receive(stream: memoryview, file: str) -> Received:
    """Sort the packets of a stream."""
    out = Received()
    waiting: list[Packet] = []
    for packet in walk(stream, file):
        out.packets += 1
        if packet.kind == Kind.EXPOSURE and packet.intact and not out.facts:
            out.facts = exposure_facts(packet, file)
            shape = out.facts["ny"], out.facts["nx"]
            out.chips = [
                Chip(np.full(shape, FILL, np.uint16), np.zeros(shape[0], np.uint8))
                for _ in range(out.facts["chips"])
            ]
            for early in waiting:
                _sort(out, early)
        elif not out.facts:
            waiting.append(packet)
        else:
            _sort(out, packet)
    if not out.facts:
        raise CalibrationError(
            ExitCode.TELEMETRY_BAD,
            f"{file}: the exposure packet is missing or damaged; have the exposure sent again",
        )
    return out


def _sort(out: Received, packet: Packet) -> None:
    kind = packet.kind
    if Kind.CHIP <= kind < Kind.KEYWORDS:
        _put_line(out, packet)
    elif packet.intact and kind in (Kind.KEYWORDS, Kind.DATA):
        target = out.keywords if kind == Kind.KEYWORDS else out.data
        key = packet.stamp.column, packet.stamp.line
        out.duplicates += key in target
        target[key] = packet
    elif packet.intact and kind == Kind.ENGINEERING:
        out.engineering[packet.stamp.line] = packet


def _put_line(out: Received, packet: Packet) -> None:
    """Place a line. A damaged packet never replaces a good one: its line number may be wrong."""
    number, line = packet.kind - Kind.CHIP, packet.stamp.line
    if number >= len(out.chips):
        return
    chip = out.chips[number]
    ny, nx = chip.counts.shape
    if line >= ny or len(packet.payload) != 2 * nx:
        return
    quality = 2 if packet.intact else 1
    if chip.state[line] >= quality:
        out.duplicates += 1
        return
    chip.counts[line] = np.frombuffer(packet.payload, ">u2")
    chip.state[line] = quality


def _assemble(
    parts: dict[tuple[int, int], Packet], number: int, count: int, what: str, file: str
) -> list[bytes]:
    """Return the joined chunks of each HDU."""
    if len(parts) != count:
        raise CalibrationError(
            ExitCode.TELEMETRY_BAD,
            f"{file}: {len(parts)} of {count} {what} packets arrived intact; have the exposure "
            "sent again",
        )
    return [
        b"".join(bytes(parts[key].payload) for key in sorted(parts) if key[0] == hdu)
        for hdu in range(number)
    ]


def headers(received: Received, file: str) -> list[Hdu]:
    """Return the HDUs' headers only; raise what stands against making a raw file of the stream."""
    _lines(received, file)
    return [Hdu(Header.from_bytes(block), memoryview(b"")) for block in _keywords(received, file)]


def _keywords(received: Received, file: str) -> list[bytes]:
    facts = received.facts
    return _assemble(received.keywords, facts["hdus"], facts["keyword_packets"], "keyword", file)


def _lines(received: Received, file: str) -> tuple[int, int, int]:
    """Return how many lines there are, are lost, and are damaged."""
    lost = sum(int((chip.state == 0).sum()) for chip in received.chips)
    damaged = sum(int((chip.state == 1).sum()) for chip in received.chips)
    lines = sum(chip.state.size for chip in received.chips)
    if 2 * lost > lines:
        raise CalibrationError(
            ExitCode.TELEMETRY_TRUNCATED,
            f"{file}: {lost} of {lines} image lines are missing; have the exposure sent again",
        )
    return lines, lost, damaged


def write_raw(received: Received, path: Path, file: str) -> None:
    """Write the raw file: to the byte what was sent, or with fill and flags where lines failed."""
    facts = received.facts
    headers = _keywords(received, file)
    data = _assemble(received.data, facts["hdus"], facts["data_packets"], "data", file)
    lines, lost, damaged = _lines(received, file)
    hdus = _hdus(headers, data, received.chips)
    if lost or damaged:
        _write_with_faults(hdus, received.chips, path)
    else:
        _write_exactly(headers, hdus, path)
    step(
        f"2FITS {path.name}: {received.packets} packets, {lines} lines, {lost} lost, "
        f"{damaged} damaged, {received.duplicates} duplicates"
    )


def _hdus(headers: list[bytes], data: list[bytes], chips: list[Chip]) -> list[Hdu]:
    queue = iter(chips)
    out = []
    for block, raw in zip(headers, data, strict=True):
        header = Header.from_bytes(block)
        content: Any = raw
        if header.text("EXTNAME").upper() == "SCI" and not raw and header.get("NAXIS", 0) == 2:
            stored = (next(queue).counts ^ np.uint16(0x8000)).astype(">u2")
            content = stored.reshape(-1).view(np.uint8)
        out.append(Hdu(header, memoryview(content)))
    return out


def _write_exactly(headers: list[bytes], hdus: list[Hdu], path: Path) -> None:
    draft = temporary(path)
    try:
        with draft.open("wb") as stream:
            for block, hdu in zip(headers, hdus, strict=True):
                stream.write(block)
                stream.write(hdu.raw)
                stream.write(b"\0" * (-len(hdu.raw) % BLOCK))
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def _write_with_faults(hdus: list[Hdu], chips: list[Chip], path: Path) -> None:
    out = list(hdus)
    versions = [hdu.version for hdu in hdus if hdu.name == "SCI" and len(hdu.shape) == 2]
    by_version = dict(zip(versions, chips, strict=False))
    for number, hdu in enumerate(hdus):
        chip = by_version.get(hdu.version)
        if chip is None:
            continue
        if hdu.name == "SCI":
            lost, damaged = int((chip.state == 0).sum()), int((chip.state == 1).sum())
            hdu.header.set("FILLCNT", lost)
            hdu.header.set("ERRCNT", damaged)
            hdu.header.set("PODPSFF", bool(lost))
        elif hdu.name == "DQ":
            flags = np.choose(chip.state, [LOST, REED_SOLOMON, 0]).astype(np.int16)
            dq = np.array(np.broadcast_to(flags[:, None], chip.counts.shape))
            if hdu.shape:
                dq |= hdu.image().astype(np.int16)
            header = hdu.header.copy()
            header.remove("NPIX1", "NPIX2", "PIXVALUE")
            out[number] = image_hdu(header, dq)
    write(path, out, checksum=False)


def _write_spt(received: Received, context: Context) -> None:
    packets = [received.engineering[k] for k in sorted(received.engineering)]
    path = context.product("spt")
    facts = received.facts
    primary = Header()
    primary.set("FILENAME", path.name)
    primary.set("ROOTNAME", facts["rootname"])
    primary.set("INSTRUME", facts["instrument"])
    primary.set("PROPOSID", facts["proposal"])
    primary.set("NEXTEND", 1)
    simulated = any(p.stamp.flags & SIMULATED_FLAG for p in packets)
    primary.set("ENGSIM", simulated, "engineering stream is simulated")
    values = np.array([np.frombuffer(p.payload, ">f4") for p in packets]).reshape(-1, 4)
    names = ("SECONDS", "V2_MAS", "V3_MAS", "DETTEMP")
    columns = [Column(name, "E", values[:, i]) for i, name in enumerate(names)]
    write(path, [image_hdu(primary, None, primary=True), table_hdu("ENG", columns)])
    step(f"2FITS {path.name}: {len(packets)} s of engineering data")
