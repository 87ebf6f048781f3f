"""Associations: which exposures belong together, and which of their products there are."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from calibration.context import Context, step
from calibration.exit_codes import CalibrationError, ExitCode
from calibration.fits import Hdu, read, read_table, write
from calibration.fits.tables import read_columns
from calibration.names import dataset_name
from calibration.nodes.to_fits import copy_unpacked
from calibration.suffixes import COMBINED

#: How the MEMTYPE of a product row begins -> the files that can be that product.
_PRODUCTS: dict[str, tuple[str, ...]] = {
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


@dataclass(frozen=True)
class ExposureSet:
    """Exposures that are combined with each other into one product.

    Parameters
    ----------
    product
        Its name: of the association table, or the association's own.
    kind
        CR (split for cosmic rays), RP (repeated), or DTH (dithered: MD alone combines these).
    members
        In the order of the association.
    """

    product: str
    kind: str
    members: tuple[str, ...]


_SET = re.compile(r"(EXP|PROD)-(CR|RP)(\w*)")


def exposure_sets(context: Context) -> tuple[ExposureSet, ...]:
    """Return the sets of an association's table: one per EXP-CRn and EXP-RPn.

    Of several, or of one beside dithered exposures, each product has the name of its PROD row. The
    product of an only set has the association's name, and so it has without a table (then it is for
    cosmic rays).
    """
    members = members_of(context)
    groups: dict[tuple[str, str], list[str]] = {}
    products: dict[tuple[str, str], str] = {}
    dithered = []
    for row in table_of(context):
        name, kind = str(row["MEMNAME"]).strip().lower(), str(row["MEMTYPE"]).strip().upper()
        match = _SET.fullmatch(kind)
        if match is None:
            dithered += [name] if kind.startswith("EXP") and name in members else []
        elif match[1] == "PROD":
            products[match[2], match[3]] = dataset_name(name)
        elif name in members:
            groups.setdefault((match[2], match[3]), []).append(name)
    if not groups and not dithered:
        return (ExposureSet(context.dataset, "CR", members),)
    sets = []
    named = len(groups) > 1 or bool(dithered)
    for key, names in groups.items():
        product = products.get(key, context.dataset) if named else context.dataset
        if product == context.dataset and len(groups) > 1:
            raise CalibrationError(
                ExitCode.ASSOCIATION_ERROR,
                f"{context.dataset}_asn.fits: several sets of exposures, but PROD-{''.join(key)} "
                "has no name of its own; correct the table",
            )
        sets.append(ExposureSet(product, key[0], tuple(names)))
    return tuple(sets)


def sub_products(context: Context) -> tuple[str, ...]:
    """Return the names of the products of an association that have their own."""
    return tuple(
        dict.fromkeys(s.product for s in exposure_sets(context) if s.product != context.dataset)
    )


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
    when it is the only row of its type (our combinations bear the association's name); any
    combination is the product of a table with a single product row. Exposures that took part are
    present. ASN_PROD tells whether there is any product.
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
    names = [member]
    suffixes: tuple[str, ...] = COMBINED
    if sum(other.startswith("PROD") for other in types) > 1:
        start = next((start for start in _PRODUCTS if kind.startswith(start)), None)
        if start is None:
            return False
        suffixes = _PRODUCTS[start]
        if sum(other.startswith(start) for other in types) == 1:
            names.append(context.dataset)
    elif kind.startswith("PROD"):
        names.append(context.dataset)
    folders = (context.folder, context.work / member)
    return kind.startswith("PROD") and any(
        (folder / f"{name}_{suffix}.fits").is_file()
        for name in names for suffix in suffixes for folder in folders
    )  # fmt: skip
