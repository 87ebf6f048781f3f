"""A raw FITS file as the telemetry that it could have come from.

Header blocks and the data of other extensions travel in packets of their own, so that 2FITS can
rebuild the file to the byte. The engineering stream is simulated and says so.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from calibration.exit_codes import CalibrationError, ExitCode
from calibration.fits import Hdu, Header, read
from calibration.fits.files import temporary
from calibration.telemetry.engineering import simulated_packets
from calibration.telemetry.packets import (
    CHUNK,
    EXPOSURE,
    Encoder,
    Kind,
    Stamp,
)

_EPOCH_MJD = 36204  # 1958-01-01, the epoch of the CCSDS day-segmented time code


def write_telemetry(raw: Path, target: Path) -> int:
    """Write the telemetry of a raw file; return the number of packets."""
    packets = encode(read(raw), raw.name)
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = temporary(target)
    try:
        draft.write_bytes(b"".join(packets))
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)
    return len(packets)


def is_line_image(hdu: Hdu) -> bool:
    """Whether an HDU travels line by line: a two-dimensional SCI of unsigned integers."""
    return hdu.name == "SCI" and len(hdu.shape) == 2 and hdu.is_unsigned


def encode(hdus: list[Hdu], file: str) -> list[bytes]:
    """Return the packets of an exposure."""
    chips = [hdu for hdu in hdus if is_line_image(hdu)]
    if not chips or len(chips) > 6:
        raise CalibrationError(
            ExitCode.NOT_SUPPORTED,
            f"{file} has {len(chips)} unsigned 16-bit SCI images; telemetry carries 1 to 6 of them",
        )
    if max(chip.shape[1] for chip in chips) * 2 > 0xFF00:
        raise CalibrationError(ExitCode.NOT_SUPPORTED, f"{file}: lines are too long for a packet")
    primary = hdus[0].header
    start = primary.real("EXPSTART", primary.get("TEXPSTRT", 50000.0))
    encoder = Encoder()
    blocks = [hdu.header.to_bytes() for hdu in hdus]
    extra = [b"" if is_line_image(hdu) else bytes(hdu.raw) for hdu in hdus]
    out = [_exposure_packet(encoder, primary, chips, (blocks, extra), _stamp(start))]
    for kind, parts in ((Kind.KEYWORDS, blocks), (Kind.DATA, extra)):
        for hdu_number, part in enumerate(parts):
            for index, offset in enumerate(range(0, len(part), CHUNK)):
                chunk = part[offset : offset + CHUNK]
                total = -(-len(part) // CHUNK)
                out.append(encoder.packet(kind, _stamp(start, index, hdu_number, total), chunk))
    for number, chip in enumerate(chips):
        out += _lines(encoder, chip, number, start)
    seconds = primary.real("EXPTIME", primary.get("TEXPTIME", 0.0))
    return out + simulated_packets(encoder, primary.text("ROOTNAME"), start, seconds)


def _stamp(
    mjd: float, line: int = 0, column: int = 0, number: int = 0, *, chip: int = 0, flags: int = 0
) -> Stamp:
    day = int(mjd)
    ms = int((mjd - day) * 86_400_000)
    return Stamp(day - _EPOCH_MJD, ms, line, column, number, chip, flags)


def _exposure_packet(
    encoder: Encoder,
    primary: Header,
    chips: list[Hdu],
    parts: tuple[list[bytes], list[bytes]],
    stamp: Stamp,
) -> bytes:
    blocks, extra = parts

    def text(*keys: str) -> bytes:
        return next((v for k in keys if (v := primary.text(k))), "").encode("ascii", "replace")

    seconds = primary.real("EXPTIME", primary.get("TEXPTIME", 0.0))
    ny, nx = chips[0].shape
    payload = EXPOSURE.pack(
        text("ROOTNAME"), primary.integer("PROPOSID", 0), text("INSTRUME"), text("DETECTOR"),
        text("CCDAMP"), primary.real("CCDGAIN", 0), text("FILTER1", "FILTER"),
        text("FILTER2"), round(seconds * 1000), primary.real("RA_TARG", 0),
        primary.real("DEC_TARG", 0), primary.real("PA_V3", 0), len(chips), nx, ny,
        text("ASN_ID"), len(blocks), sum(-(-len(b) // CHUNK) for b in blocks),
        sum(-(-len(e) // CHUNK) for e in extra),
    )  # fmt: skip
    return encoder.packet(Kind.EXPOSURE, stamp, payload)


def _lines(encoder: Encoder, chip: Hdu, number: int, start: float) -> list[bytes]:
    ny, nx = chip.shape
    counts = (chip.stored().view(">u2") ^ np.uint16(0x8000)).astype(">u2")
    ccd = chip.header.integer("CCDCHIP", number + 1)
    return [
        encoder.packet(
            Kind.CHIP + number, _stamp(start, line, 0, nx, chip=ccd), counts[line].tobytes()
        )
        for line in range(ny)
    ]
