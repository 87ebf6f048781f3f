"""The call of STScI's calcos, as a program of its own.

What was seen with calcos 3.6.2, and why it is called like this:

- the package cannot be run by ``python -m calcos``;
- options after the file's name are refused in words, with exit code 0. An exit code of 0 proves
  nothing in other cases either (no switch is PERFORM): the products do;
- it refuses to write over its products: it works in a folder of its own each time;
- it takes segment B from beside segment A, and references from ``$lref``, under the very names that
  the header has.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

from calibration.context import RAW_SUFFIXES, Context, step
from calibration.exit_codes import CalibrationError, ExitCode
from calibration.fits import Header, read, write
from calibration.fits.files import temporary
from calibration.names import is_reference, reference_file
from calibration.nodes.to_fits import copy_unpacked
from calibration.references import store
from calibration.suffixes import BY_SUFFIX

#: Exit codes of calcos that mean something.
_NOTHING_TO_DO, _MISSING_ROW = 5, 16
_MISSING = re.compile(r"^(\w+)=(\S+)$", re.MULTILINE)


def command() -> list[str] | None:
    """Return how to call calcos: the nodes' own Python has it, or the PATH; None if neither."""
    if find_spec("calcos") is not None:
        return [sys.executable, "-c", "import calcos; calcos.main()"]
    program = shutil.which("calcos")
    return [program] if program else None


def run(context: Context) -> None:
    """Calibrate a real COS exposure.

    Raises
    ------
    CalibrationError
        CALCOS_MISSING, REFERENCE_MISSING naming the files, or what calcos says.
    """
    raw = context.raw()
    call = command()
    if call is None:
        raise CalibrationError(
            ExitCode.CALCOS_MISSING,
            f"{raw.name} is a real COS exposure: install calcos in the nodes' Python "
            "(pip install 'owl-for-airflow[cos]'); OWL has no COS calibration of its own",
        )
    with tempfile.TemporaryDirectory(".tmp", ".calcos.", context.folder) as name:
        room = Path(name)
        staged = _stage(context, room)
        _link_references(context, read(raw, headers_only=True)[0].header, room / "lref")
        done = subprocess.run(
            [*call, "-o", str(room / "out"), str(staged)],
            env={**os.environ, "lref": f"{room / 'lref'}/"},
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, errors="replace", check=False,
        )  # fmt: skip
        text = done.stdout.replace(f"{room}/", "")
        _write_trailer(context, text)
        if done.returncode != 0:
            raise failure(done.returncode, text)
        names = _take(context, room / "out")
    if not names:
        raise CalibrationError(
            ExitCode.CALIBRATION_ERROR,
            f"calcos ended well but made no product of {raw.name}: {_last_words(text)}",
        )
    step(f"CA calcos made {', '.join(names)}")


def _stage(context: Context, room: Path) -> Path:
    """Put the raw files where calcos looks; return the one that it is given."""
    for folder in ("in", "lref", "out"):
        (room / folder).mkdir()
    staged = []
    for suffix in RAW_SUFFIXES:
        path = context.product(suffix)
        if path.is_file():
            staged.append(room / "in" / path.name)
            staged[-1].symlink_to(path)
    return staged[0]


def _link_references(context: Context, primary: Header, folder: Path) -> None:
    """Put the references that the header names under these names into a folder."""
    for key in primary:
        value = primary.text(key)
        if not value.startswith("lref$") or not is_reference(value):
            continue
        name = reference_file(value, key)
        used = store.used(context.references, name)
        if used is None:
            continue  # calcos knows whether it needs this one, and names it
        target = folder / name
        if target.exists():
            continue
        if used.path.name == name:
            target.symlink_to(used.path)
        else:
            copy_unpacked(used.path, target)


def _write_trailer(context: Context, text: str) -> None:
    path = context.folder / f"{context.dataset}.tra"
    draft = temporary(path)
    draft.write_text(text)
    draft.replace(path)
    for line in text.splitlines():
        step(f"CA calcos: {line}")


def failure(code: int, text: str) -> CalibrationError:
    """Return the named error for calcos's exit code and output."""
    if code in (-9, 137) or "MemoryError" in text:
        return CalibrationError(
            ExitCode.SUBPROCESS_MEMORY_ERROR, "calcos was killed: request more memory"
        )
    said = _last_words(text)
    before, marker, after = text.partition("are missing:")
    if not marker:
        before, marker, after = text.partition("is missing:")
    missing = _MISSING.findall(after) if "reference file" in before[-40:] else []
    if missing:
        files = ", ".join(f"{key.upper()} = {Path(path).name}" for key, path in missing)
        return CalibrationError(
            ExitCode.REFERENCE_MISSING,
            f"calcos needs {files}; deliver what is missing, then run RF again",
        )
    if code == _NOTHING_TO_DO:
        return CalibrationError(
            ExitCode.NOT_SUPPORTED, f"calcos finds nothing to calibrate in this exposure: {said}"
        )
    kind = ExitCode.REFERENCE_BAD if code == _MISSING_ROW else ExitCode.CALIBRATION_ERROR
    return CalibrationError(kind, f"calcos ended with exit code {code}: {said}; see the trailer")


def _last_words(text: str) -> str:
    """Return the lines that say why: calcos's own errors, or the last line."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR")]
    last = [line for line in lines[-1:] if line not in errors]
    return " | ".join([*errors[:3], *last]) or "it said nothing"


def _take(context: Context, out: Path) -> list[str]:
    """Bring the products into the work folder, with checksums; return their names."""
    names = []
    for path in sorted(out.glob(f"{context.dataset}_*.fits")):
        suffix = path.stem.removeprefix(f"{context.dataset}_")
        if suffix in BY_SUFFIX:
            write(context.folder / path.name, read(path))
            names.append(path.name)
        else:
            step(f"CA calcos made {path.name}, which is not kept")
    return names
