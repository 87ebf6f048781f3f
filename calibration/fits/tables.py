"""Binary tables: fixed columns, strings, and variable-length arrays (the IMPHTTAB has them)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calibration.fits.files import Hdu
from calibration.fits.header import Header

_FORMAT = re.compile(r"(\d*)([LXBIJKAEDPQ])(?:([A-Z])(?:\(\d*\))?)?")
_NUMPY = {"L": "S1", "B": "u1", "I": ">i2", "J": ">i4", "K": ">i8", "E": ">f4", "D": ">f8"}


@dataclass(frozen=True)
class Column:
    """A column to be written: name, TFORM and values."""

    name: str
    form: str
    values: Sequence[Any] | NDArray[Any]


def _field(form: str) -> tuple[str, str]:
    match = _FORMAT.match(form)
    if match is None:
        raise ValueError(f"TFORM {form!r} is not supported")
    count, code, item = match.groups()
    number = int(count) if count else 1
    if code == "A":
        return f"S{number}", ""
    if code in "PQ":
        return (">i4" if code == "P" else ">i8") + ",", item or ""
    if code == "X":
        return f"V{-(-number // 8)}", ""
    return (f"({number},)" if number != 1 else "") + _NUMPY[code], ""


def _columns(header: Header) -> list[tuple[str, str]]:
    count = header.integer("TFIELDS", 0)
    return [(header.text(f"TTYPE{i}"), header.text(f"TFORM{i}")) for i in range(1, count + 1)]


def read_table(hdu: Hdu) -> list[dict[str, Any]]:
    """Return the rows of a binary table as dictionaries (small tables)."""
    header = hdu.header
    names, dtypes, heaps = [], [], {}
    for name, form in _columns(header):
        dtype, item = _field(form)
        names.append(name.upper())
        if item:
            heaps[name.upper()] = item
            dtypes.append(f"(2,){dtype.rstrip(',')}")
        else:
            dtypes.append(dtype)
    width, count = header.integer("NAXIS1", 0), header.integer("NAXIS2", 0)
    table = np.frombuffer(
        hdu.raw[: width * count], dtype=np.dtype(list(zip(names, dtypes, strict=True)))
    )
    heap = hdu.raw[header.integer("THEAP", width * count) :]
    return [{name: _cell(row[name], heaps.get(name), heap) for name in names} for row in table]


def _cell(value: Any, item: str | None, heap: memoryview) -> Any:
    if item is not None:
        length, offset = int(value[0]), int(value[1])
        return np.frombuffer(heap, dtype=_NUMPY[item], count=length, offset=offset).astype(
            np.dtype(_NUMPY[item]).newbyteorder("=")
        )
    if isinstance(value, bytes):
        return value.rstrip(b"\0 ").decode("latin-1")
    if isinstance(value, np.ndarray):
        return value.astype(value.dtype.newbyteorder("="))
    return value.item()


def read_columns(hdu: Hdu) -> NDArray[Any]:
    """Return a table of fixed columns as a structured array (large tables; no copy)."""
    fields = [(name.upper(), _field(form)[0]) for name, form in _columns(hdu.header)]
    width, count = hdu.header.integer("NAXIS1", 0), hdu.header.integer("NAXIS2", 0)
    return np.frombuffer(hdu.raw[: width * count], dtype=np.dtype(fields))


def table_hdu(name: str, columns: Sequence[Column], header: Header | None = None) -> Hdu:
    """Make a binary-table HDU of fixed columns."""
    dtype = np.dtype([(c.name, _field(c.form)[0]) for c in columns])
    table = np.zeros(len(columns[0].values), dtype=dtype)
    for column in columns:
        values: Any = column.values
        if column.form.endswith("A"):
            values = [str(v).encode("latin-1") for v in values]
        elif column.form.endswith("L"):
            values = [b"T" if v else b"F" for v in values]
        table[column.name] = values
    out = Header()
    out.set("XTENSION", "BINTABLE", "binary table extension")
    out.set("BITPIX", 8)
    out.set("NAXIS", 2)
    out.set("NAXIS1", dtype.itemsize, "bytes in a row")
    out.set("NAXIS2", len(table), "rows")
    out.set("PCOUNT", 0)
    out.set("GCOUNT", 1)
    out.set("TFIELDS", len(columns))
    for i, column in enumerate(columns, 1):
        out.set(f"TTYPE{i}", column.name)
        out.set(f"TFORM{i}", column.form)
    out.set("EXTNAME", name)
    for card in header.cards if header else []:
        out.cards.append(card)
    return Hdu(Header(out.cards), memoryview(table.tobytes()))
