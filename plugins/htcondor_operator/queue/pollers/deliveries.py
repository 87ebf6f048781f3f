"""What a delivered file of an exposure is: by its name, and by its own words.

Files are named ``<root>_<suffix>.fits`` (or ``.fits.gz``) and ``<root>.tlm``; an association's
table is ``<association>_asn.fits``.
"""

from __future__ import annotations

import re
from typing import BinaryIO

from htcondor_operator.queue.pollers.fits_header import (
    FitsFile,
    Hdu,
    Unreadable,
    read_fits,
    table_rows,
)
from htcondor_operator.queue.pollers.telemetry_file import read_telemetry
from htcondor_operator.queue.pollers.verdicts import Examined

RAW = ("raw", "rawtag", "rawtag_a", "rawtag_b")
COMPANIONS = ("spt", "jit", "jif", "epc", "pdq", "lrc", "trl", "dgr")
EXPOSURE, TABLE, COMPANION = "exposure", "table", "companion"

_NAME = re.compile(
    r"(?P<root>[a-z0-9][a-z0-9+\-]{0,40})"
    r"(?:_(?P<suffix>[a-z0-9]+(?:_[ab])?)\.fits(?P<packed>\.gz)?|(?P<telemetry>\.tlm))",
    re.ASCII,
)
_NOT_NAMED = frozenset({"", "NONE", "N/A"})
_INSTRUMENTS = {"WFC3": "WF3"}
"""INSTRUME -> the name that declarations use, where they differ."""


def examine(name: str, stream: BinaryIO, size: int, instrument: str | None) -> Examined:
    """Read a delivered file as far as it must be known.

    Parameters
    ----------
    name, stream, size
        The file.
    instrument
        The only one whose files belong here.

    Raises
    ------
    Unreadable
        It is bad, and why.
    """
    match = _NAME.fullmatch(name)
    suffix = match["suffix"] if match else None
    if not match or (suffix is not None and suffix not in (*RAW, *COMPANIONS, "asn")):
        known = ", ".join((*RAW, "asn", *COMPANIONS))
        raise Unreadable(f"its name is not <root>.tlm or <root>_<suffix>.fits[.gz] ({known})")
    root = match["root"]
    if suffix is None:
        return _telemetry(root, stream, size, instrument)
    file = read_fits(stream, packed=bool(match["packed"]))
    primary = file.hdus[0]
    _check_root(root, primary.text("ROOTNAME"))
    _check_instrument(primary.text("INSTRUME"), instrument)
    if suffix in COMPANIONS:
        return Examined(root, COMPANION, {"suffix": suffix})
    if len(file.hdus) < 2:
        raise Unreadable("it has no extension with data")
    if suffix == "asn":
        return Examined(root, TABLE, {"members": members_of(file)})
    facts = {"association": _association(primary.text("ASN_ID"), root)}
    # Of the two files of a COS exposure, segment A's stands for both.
    if suffix != "rawtag_b":
        facts["raw_sha256"] = file.sha256
    return Examined(root, EXPOSURE, facts)


def replaced_by(name: str) -> tuple[str, ...]:
    """Return the names under which the payload would find an earlier delivery of the same file.

    2FITS takes telemetry before FITS, and unpacked FITS before packed: a former one must not hide
    a new one.
    """
    match = _NAME.fullmatch(name)
    if not match:
        return ()
    root, suffix = match["root"], match["suffix"]
    forms = RAW if suffix is None else (suffix,)
    names = [f"{root}_{form}.fits{end}" for form in forms for end in ("", ".gz")]
    if suffix in RAW:
        names.append(f"{root}.tlm")
    return tuple(found for found in names if found != name)


def _telemetry(root: str, stream: BinaryIO, size: int, instrument: str | None) -> Examined:
    found = read_telemetry(stream, size)
    _check_root(root, found.rootname)
    _check_instrument(found.instrument, instrument)
    return Examined(root, EXPOSURE, {"association": _association(found.association, root)})


def _check_root(root: str, said: str) -> None:
    if said.upper() not in _NOT_NAMED and said.lower() != root:
        raise Unreadable(f"its ROOTNAME is {said.lower()!r}, but its name says {root!r}")


def _check_instrument(said: str, instrument: str | None) -> None:
    found = _INSTRUMENTS.get(said.upper(), said.upper())
    if instrument and found and found != instrument:
        raise Unreadable(f"its INSTRUME is {said!r}, but here files of {instrument} are delivered")


def _association(said: str, root: str) -> str | None:
    name = said.lower()
    if said.upper() in _NOT_NAMED or name == root:
        return None
    if not re.fullmatch(r"[a-z0-9][a-z0-9_+\-]{0,40}", name, re.ASCII):
        raise Unreadable(f"its ASN_ID {said!r} is not a name")
    return name


def members_of(file: FitsFile) -> list[tuple[str, str, bool]]:
    """Return name, role and presence of the exposures that an association table names.

    Raises
    ------
    Unreadable
        It has no such table, or names no exposure, or one that is no name.
    """
    table: Hdu = file.hdus[1]
    if table.text("XTENSION") != "BINTABLE":
        raise Unreadable("its first extension is no binary table")
    members: dict[str, tuple[str, str, bool]] = {}
    for name, role, there in table_rows(table, ("MEMNAME", "MEMTYPE", "MEMPRSNT")):
        member, kind = str(name).lower(), str(role).upper()
        if not kind.startswith("EXP"):
            continue
        if not re.fullmatch(r"[a-z0-9][a-z0-9_+\-]{0,40}", member, re.ASCII):
            raise Unreadable(f"its MEMNAME {name!r} is not a name")
        present = there is True or str(there).strip() == "T"
        members[member] = (member, kind, present)
    if not any(present for _, _, present in members.values()):
        raise Unreadable("it names no exposure that is present (MEMTYPE EXP..., MEMPRSNT)")
    return list(members.values())
