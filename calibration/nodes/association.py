"""Associations: which exposures belong together, and which of their products there are."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from calibration.context import Context, step
from calibration.exit_codes import CalibrationError, ExitCode
from calibration.fits import Hdu, read, read_table, write
from calibration.fits.tables import read_columns
from calibration.names import dataset_name
from calibration.nodes.to_fits import copy_unpacked

#: How the MEMTYPE of a product row begins -> the files that can be that product.
_PRODUCTS = {
    "PROD-CR": ("crj", "crc"),
    "PROD-RP": ("sfl", "crj"),
    "PROD-DTH": ("drz", "drc"),
}


def table_of(context: Context) -> list[dict[str, object]]:
    """Return the rows of the association table, wherever it is."""
    path = table_path(context)
    if path is None:
        return []
    hdus = read(path)
    if len(hdus) < 2:
        raise CalibrationError(
            ExitCode.ASSOCIATION_ERROR, f"{path.name} has no table; deliver it again"
        )
    return read_table(hdus[1])


def table_path(context: Context) -> Path | None:
    """Return the association table: of the work folder, the incoming one, or the archive."""
    name = f"{context.dataset}_asn.fits"
    incoming = context.incoming
    places = (context.folder / name, incoming / name, incoming / f"{name}.gz", context.shelf / name)
    return next((path for path in places if path.is_file()), None)


def members_of(context: Context) -> tuple[str, ...]:
    """Return the exposures of a dataset: its members, or itself when it is no association.

    Members come from the command line, else from the association table (present exposures), else
    from the raw headers in the work area that name this association.
    """
    if context.members:
        return context.members
    rows = table_of(context)
    members = tuple(
        dataset_name(str(row["MEMNAME"]).strip())
        for row in rows
        if str(row["MEMTYPE"]).strip().upper().startswith("EXP") and _present(row["MEMPRSNT"])
    )
    if rows and not members:
        raise CalibrationError(
            ExitCode.ASSOCIATION_ERROR,
            f"{context.dataset}_asn.fits: no exposure is present (MEMPRSNT); correct the table",
        )
    if members:
        return members
    if context.first_of(("flt", "raw", "qlx")) is not None:
        return (context.dataset,)
    return _members_by_header(context) or (context.dataset,)


def _present(value: object) -> bool:
    return value in (True, "T", 1, b"T") or str(value).strip() == "T"


def _members_by_header(context: Context) -> tuple[str, ...]:
    found = []
    for path in sorted(context.work.glob("*/*_raw.fits")):
        header = read(path, headers_only=True)[0].header
        if header.text("ASN_ID").lower() == context.dataset:
            found.append(path.parent.name)
    return tuple(found)


def update_table(context: Context, members: tuple[str, ...]) -> None:
    """Mark in the association table what there is; nothing to do without a table.

    A product row is present when its product is: under its own name, or under the association's
    when it is the only row of its type (our combinations bear the association's name). Exposures
    that took part are present. ASN_PROD tells whether there is any product.
    """
    name = f"{context.dataset}_asn.fits"
    source = table_path(context)
    if source is None:
        return
    context.folder.mkdir(parents=True, exist_ok=True)
    hdus = read(source)
    rows = np.array(read_columns(hdus[1]))
    types = [_text(value) for value in rows["MEMTYPE"]]
    made = [_is_made(context, _text(row["MEMNAME"]).lower(), types, _text(row["MEMTYPE"]))
            for row in rows]  # fmt: skip
    if not any(made):  # exposures side by side, nothing combined
        copy_unpacked(source, context.folder / name)
        return
    took_part = [_text(value).lower() in members for value in rows["MEMNAME"]]
    is_product = [kind.startswith("PROD") for kind in types]
    for row, product, there, used in zip(rows, is_product, made, took_part, strict=True):
        if product:
            row["MEMPRSNT"] = b"T" if there else b"F"
        elif used:
            row["MEMPRSNT"] = b"T"
    hdus[0].header.set("ASN_PROD", True)
    hdus[1] = Hdu(hdus[1].header, memoryview(rows.tobytes()))
    write(context.folder / name, hdus)
    step(f"AC {name}: {sum(made)} of {sum(is_product)} products present")


def _text(value: object) -> str:
    text = value.decode("latin-1") if isinstance(value, bytes) else str(value)
    return text.strip("\0 ").upper()


def _is_made(context: Context, member: str, types: list[str], kind: str) -> bool:
    """Whether the product of a row is in the work area."""
    for start, suffixes in _PRODUCTS.items():
        if kind.startswith(start):
            names = [member]
            if sum(other.startswith(start) for other in types) == 1:
                names.append(context.dataset)
            folders = (context.folder, context.work / member)
            return any(
                (folder / f"{name}_{suffix}.fits").is_file()
                for name in names for suffix in suffixes for folder in folders
            )  # fmt: skip
    return False
