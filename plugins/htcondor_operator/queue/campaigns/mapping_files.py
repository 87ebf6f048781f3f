"""Delivered CRDS mappings: is a file whole, and which mappings does it name.

A mapping is a Python literal with a checksum of itself. Rules are not understood here (the payload
does that): the header, the checksum and the names of other mappings are.
"""

from __future__ import annotations

import ast
import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from htcondor_operator.queue.pollers.fits_header import Unreadable

CONTEXT, INSTRUMENT, RULES = ".pmap", ".imap", ".rmap"
_NAME = re.compile(r"[a-z][a-z0-9_\-]{0,60}(\.pmap|\.imap|\.rmap)", re.ASCII)
_NEEDED = {
    CONTEXT: ("mapping", "observatory", "parkey", "sha1sum"),
    INSTRUMENT: ("mapping", "observatory", "instrument", "parkey", "sha1sum"),
    RULES: ("mapping", "observatory", "instrument", "filekind", "parkey", "sha1sum"),
}
_KIND = {CONTEXT: "PIPELINE", INSTRUMENT: "INSTRUMENT", RULES: "REFERENCE"}


@dataclass(frozen=True)
class Mapping:
    """A mapping that is whole.

    Parameters
    ----------
    suffix
        ``.pmap``, ``.imap`` or ``.rmap``.
    names
        Mappings that it names.
    """

    suffix: str
    names: tuple[str, ...]


def read_mapping(name: str, content: bytes) -> Mapping:
    """Check a mapping.

    Raises
    ------
    Unreadable
        What is wrong with it.
    """
    match = _NAME.fullmatch(name)
    if match is None:
        raise Unreadable("its name is not that of a mapping (hst_0001.pmap, .imap, .rmap)")
    suffix = match[1]
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Unreadable("it is no text (UTF-8)") from error
    parts = _assignments(text)
    header = _literal("header", parts.get("header"))
    missing = [key for key in _NEEDED[suffix] if key not in header]
    if missing:
        raise Unreadable(f"its header has no {' and no '.join(missing)}")
    if str(header["mapping"]).upper() != _KIND[suffix]:
        raise Unreadable(f"its header says mapping {header['mapping']!r}, its name {suffix}")
    said, found = header["sha1sum"], sha1sum(text)
    if said != found:
        raise Unreadable(f"its checksum is {found}, but its header says sha1sum {said!r}")
    if "selector" not in parts:
        raise Unreadable("it has no selector")
    if suffix == RULES:
        return Mapping(suffix, ())
    selector = _literal("selector", parts["selector"])
    return Mapping(suffix, tuple(_names(selector.values())))


def sha1sum(text: str) -> str:
    """Return a mapping's checksum, over all lines but those that speak of it (as crds does)."""
    lines = (line for line in text.splitlines(keepends=True) if "sha1sum" not in line)
    return hashlib.sha1("".join(lines).encode(), usedforsecurity=False).hexdigest()


def _assignments(text: str) -> dict[str, ast.expr]:
    try:
        body = ast.parse(text).body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise Unreadable(f"it is no mapping: {' '.join(str(error).split())}") from error
    return {
        target.id: node.value
        for node in body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }


def _literal(name: str, value: ast.expr | None) -> dict[str, Any]:
    if value is None:
        raise Unreadable(f"it has no {name}")
    try:
        found = ast.literal_eval(value)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError) as error:
        raise Unreadable(f"its {name} is not a literal: {error}") from error
    if not isinstance(found, dict):
        raise Unreadable(f"its {name} is not a mapping")
    return found


def _names(values: Iterable[object]) -> list[str]:
    names = [PurePosixPath(str(value)).name for value in values]
    return [name for name in names if name.endswith((INSTRUMENT, RULES))]


def read_names(path: Path) -> Mapping:
    """Read which mappings one names that was there before: its checksum is the site's affair.

    Raises
    ------
    Unreadable
        It has no selector that can be read.
    """
    try:
        parts = _assignments(path.read_text("utf-8"))
        selector = _literal("selector", parts.get("selector"))
    except (Unreadable, UnicodeDecodeError) as error:
        raise Unreadable(f"{path.name}: {error}") from error
    return Mapping(path.suffix, tuple(_names(selector.values())))


def missing_mappings(folder: Path, context: Mapping) -> list[str]:
    """Return the mappings that a context needs and `folder` does not have, by name."""
    missing: list[str] = []
    waiting = list(context.names)
    seen: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        path = folder / name
        if not path.is_file():
            missing.append(name)
            continue
        if name.endswith(INSTRUMENT):
            waiting.extend(read_names(path).names)
    return sorted(missing)


def mapping_folder(references: Path) -> Path:
    """Return the folder of a site's mappings: the first that has a context."""
    folders = (references / "mappings" / "hst", references / "mappings", references)
    return next((f for f in folders if any(f.glob("*.pmap"))), folders[0])


def current_context(folder: Path) -> str | None:
    """Return the context that calibration uses: ``hst.pmap``, or the highest number."""
    if (folder / "hst.pmap").is_file():
        return "hst.pmap"
    numbered = sorted(path.name for path in folder.glob("hst_*.pmap"))
    return numbered[-1] if numbered else None
