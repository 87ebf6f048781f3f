"""Read and write FITS files: memory-mapped where possible, written through a rename."""

from __future__ import annotations

import gzip
import mmap
import os
import secrets
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calibration.exit_codes import CalibrationError, ExitCode
from calibration.fits.checksum import encode, ones_complement_sum
from calibration.fits.header import Header

BLOCK = 2880
_DTYPES = {8: ">u1", 16: ">i2", 32: ">i4", 64: ">i8", -32: ">f4", -64: ">f8"}
Array = NDArray[Any]


@dataclass
class Hdu:
    """One header-data unit; `raw` is the data as stored (big-endian bytes), without padding."""

    header: Header
    raw: memoryview

    @property
    def name(self) -> str:
        """EXTNAME, upper case."""
        return self.header.text("EXTNAME").upper()

    @property
    def version(self) -> int:
        """EXTVER (1 when absent)."""
        return self.header.integer("EXTVER", 1)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the array as stored, in numpy's order."""
        naxis = self.header.integer("NAXIS", 0)
        return tuple(self.header.integer(f"NAXIS{i}", 0) for i in range(naxis, 0, -1))

    def stored(self) -> Array:
        """Return the array as stored: big-endian, not scaled, no copy."""
        dtype = _DTYPES[self.header.integer("BITPIX", 8)]
        return np.frombuffer(self.raw, dtype=dtype).reshape(self.shape)

    def release(self) -> None:
        """Give mapped pages back to the system: they can be read again, but do not count."""
        if isinstance(self.raw.obj, mmap.mmap):
            self.raw.obj.madvise(mmap.MADV_DONTNEED)

    @property
    def is_unsigned(self) -> bool:
        """Whether this is the FITS convention for unsigned 16-bit integers."""
        return self.header.integer("BITPIX", 8) == 16 and self.header.get("BZERO", 0) == 32768

    def rows(self, start: int, stop: int) -> Array:
        """Return rows of the image in native byte order, scaled as the header says."""
        return _native(self.stored()[start:stop], self.header, self.is_unsigned)

    def image(self) -> Array:
        """Return the whole image (a constant array when the header has NPIX1, NPIX2, PIXVALUE)."""
        if not self.shape:
            ny, nx = self.header.integer("NPIX2", 0), self.header.integer("NPIX1", 0)
            return np.full((ny, nx), self.header.get("PIXVALUE", 0))
        return self.rows(0, self.shape[0])


def _native(stored: Array, header: Header, unsigned: bool) -> Array:
    if unsigned:
        return stored.astype(np.int16).view(np.uint16) ^ np.uint16(0x8000)
    out = stored.astype(stored.dtype.newbyteorder("="))
    scale, zero = header.get("BSCALE", 1), header.get("BZERO", 0)
    if out.dtype.kind in "iu" and (scale != 1 or zero != 0):
        return np.asarray(out * scale + zero)
    return out


def data_size(header: Header) -> int:
    """Return the number of data bytes that a header announces."""
    naxis = header.integer("NAXIS", 0)
    if naxis == 0:
        return 0
    pixels = 1
    for i in range(1, naxis + 1):
        pixels *= header.integer(f"NAXIS{i}", 0)
    size = abs(header.integer("BITPIX", 8)) // 8
    return size * header.integer("GCOUNT", 1) * (header.integer("PCOUNT", 0) + pixels)


def _checked_size(header: Header, path: Path, number: int) -> int:
    """Return `data_size`; INPUT_CORRUPT when the structural cards make no sense."""
    try:
        naxis = [header.get("NAXIS", 0)]
        naxis += [header.get(f"NAXIS{i}", 0) for i in range(1, header.integer("NAXIS", 0) + 1)]
        if any(type(n) is not int or n < 0 for n in naxis):
            raise ValueError(f"NAXIS, NAXIS1 ... are {naxis}")
        size = data_size(header)
        if header.integer("BITPIX", 8) not in _DTYPES or size < 0:
            raise ValueError("BITPIX, NAXIS or GCOUNT is out of range")
    except (TypeError, ValueError) as error:
        raise CalibrationError(
            ExitCode.INPUT_CORRUPT,
            f"{path.name}: the header of HDU {number} makes no sense ({error}); deliver the file "
            "again",
        ) from error
    return size


def _load(path: Path) -> memoryview:
    with path.open("rb") as stream:
        if stream.read(2) == b"\x1f\x8b":
            stream.seek(0)
            with gzip.open(stream) as unpacked:
                return memoryview(unpacked.read())
        if not os.fstat(stream.fileno()).st_size:
            return memoryview(b"")
        return memoryview(mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ))


def _header_at(buffer: memoryview, offset: int, path: Path, number: int) -> tuple[Header, int]:
    end = offset
    while end + BLOCK <= len(buffer):
        block = bytes(buffer[end : end + BLOCK])
        end += BLOCK
        if any(block[i : i + 8] == b"END     " for i in range(0, BLOCK, 80)):
            header = Header.from_bytes(bytes(buffer[offset:end]))
            header.file = path.name
            return header, end
    raise CalibrationError(
        ExitCode.INPUT_CORRUPT,
        f"{path.name}: the header of HDU {number} has no END (file of {len(buffer)} bytes); "
        "deliver the file again",
    )


def read(path: Path, *, headers_only: bool = False) -> list[Hdu]:
    """Read a FITS file, gzipped or not.

    Parameters
    ----------
    path
        The file.
    headers_only
        Read the primary header only; cheap for gzipped files too.

    Raises
    ------
    CalibrationError
        INPUT_MISSING, or INPUT_CORRUPT naming the file and the HDU that is damaged.
    """
    try:
        buffer = _head(path) if headers_only else _load(path)
    except FileNotFoundError:
        raise CalibrationError(
            ExitCode.INPUT_MISSING, f"{path.name} is not in {path.parent}; deliver it"
        ) from None
    except (OSError, EOFError, zlib.error) as error:
        raise CalibrationError(
            ExitCode.INPUT_CORRUPT, f"{path.name} cannot be read ({error}); deliver it again"
        ) from error
    if bytes(buffer[:9]) != b"SIMPLE  =":
        raise CalibrationError(
            ExitCode.INPUT_CORRUPT, f"{path.name} is not a FITS file; deliver it again"
        )
    if headers_only:
        return [Hdu(_header_at(buffer, 0, path, 0)[0], memoryview(b""))]
    out: list[Hdu] = []
    offset = 0
    while offset < len(buffer):
        header, offset = _header_at(buffer, offset, path, len(out))
        size = _checked_size(header, path, len(out))
        if offset + size > len(buffer):
            raise CalibrationError(
                ExitCode.INPUT_CORRUPT,
                f"{path.name}: the data of HDU {len(out)} end after {len(buffer) - offset} of "
                f"{size} bytes (truncated file); deliver it again",
            )
        out.append(Hdu(header, buffer[offset : offset + size]))
        offset += -(-size // BLOCK) * BLOCK
    return out


def _head(path: Path) -> memoryview:
    with path.open("rb") as stream:
        packed = stream.read(2) == b"\x1f\x8b"
        stream.seek(0)
        with gzip.open(stream) if packed else stream as source:
            return memoryview(source.read(20 * BLOCK))


def image_hdu(
    header: Header, array: Array | None, *, primary: bool = False, consume: bool = False
) -> Hdu:
    """Make an HDU whose structural cards fit `array` (uint16 is stored with BZERO 32768).

    With `consume` the array's bytes are swapped where they are, which saves a copy; it must not
    be used afterwards.
    """
    header = header.copy()
    header.remove("BSCALE", "BZERO", "CHECKSUM", "DATASUM")
    kept = [c for c in header.cards if not _is_structural(c)]
    unsigned = array is not None and array.dtype == np.uint16
    stored = memoryview(b"") if array is None else _to_stored(array, consume)
    start = Header()
    if primary:
        start.set("SIMPLE", True, "conforms to the FITS standard")
    else:
        start.set("XTENSION", "IMAGE", "image extension")
    dtype = np.dtype(np.int16) if array is None else array.dtype
    bitpix = dtype.itemsize * 8 * (-1 if dtype.kind == "f" else 1)
    start.set("BITPIX", bitpix, "number of bits per data pixel")
    shape = () if array is None else array.shape
    start.set("NAXIS", len(shape), "number of data axes")
    for i, length in enumerate(reversed(shape), 1):
        start.set(f"NAXIS{i}", length, f"length of data axis {i}")
    if primary:
        start.set("EXTEND", True, "file may contain extensions")
    else:
        start.set("PCOUNT", 0, "required keyword; must = 0")
        start.set("GCOUNT", 1, "required keyword; must = 1")
    if unsigned:
        start.set("BSCALE", 1.0, "scale factor for array value to physical value")
        start.set("BZERO", 32768.0, "physical value for an array value of zero")
    return Hdu(Header(start.cards + kept), stored)


def _is_structural(card: str) -> bool:
    key = card[:8].rstrip()
    return key in {"SIMPLE", "XTENSION", "BITPIX", "NAXIS", "EXTEND", "PCOUNT", "GCOUNT"} or (
        key.startswith("NAXIS") and key[5:].isdigit()
    )


def _to_stored(array: Array, consume: bool) -> memoryview:
    if array.dtype == np.uint16:
        array = (array ^ np.uint16(0x8000)).view(np.int16)
    if consume and array.dtype.isnative and array.flags.c_contiguous:
        big = array.byteswap(inplace=True) if array.dtype.itemsize > 1 else array
    else:
        big = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder(">"))
    octets: Any = big.reshape(-1).view(np.uint8)
    return memoryview(octets)


def _with_checksum(hdu: Hdu) -> tuple[bytes, memoryview]:
    header = hdu.header.copy()
    header.remove("CHECKSUM", "DATASUM")
    datasum = ones_complement_sum(hdu.raw)
    header.set("CHECKSUM", "0" * 16, "HDU checksum")
    header.set("DATASUM", str(datasum), "data unit checksum")
    header.set("CHECKSUM", encode(ones_complement_sum(header.to_bytes(), datasum)))
    return header.to_bytes(), hdu.raw


def temporary(path: Path) -> Path:
    """Return a name beside `path` for a file that will be renamed to it."""
    return path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}.tmp")


def write(path: Path, hdus: Sequence[Hdu], *, checksum: bool = True) -> None:
    """Write a file so that `path` is either the old file or the complete new one."""
    draft = temporary(path)
    try:
        with draft.open("wb") as stream:
            for hdu in hdus:
                head, raw = _with_checksum(hdu) if checksum else (hdu.header.to_bytes(), hdu.raw)
                stream.write(head)
                stream.write(raw)
                fill = b" " if hdu.header.text("XTENSION") == "TABLE" else b"\0"
                stream.write(fill * (-len(raw) % BLOCK))
            stream.flush()
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def checksum_faults(hdus: Sequence[Hdu]) -> list[str]:
    """Return a sentence for each HDU whose DATASUM or CHECKSUM is present and wrong."""
    faults = []
    for number, hdu in enumerate(hdus):
        datasum = hdu.header.text("DATASUM")
        if not datasum:
            continue
        found = ones_complement_sum(hdu.raw)
        if int(datasum) != found:
            faults.append(f"DATASUM of HDU {number} is {datasum}, the data give {found}")
        elif "CHECKSUM" in hdu.header:
            total = ones_complement_sum(hdu.header.to_bytes(), found)
            if total not in (0, 0xFFFFFFFF):
                faults.append(f"CHECKSUM of HDU {number} does not fit its header")
    return faults
