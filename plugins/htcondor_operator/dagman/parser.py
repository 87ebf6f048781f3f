"""Reading a DAG file: the entrance. The grammar is DAGMan's of HTCondor 25.

The layers below can each be used and tested alone: :mod:`lexer` (words and lines), :mod:`grammar`
(one command), :mod:`assembly` (names, splices, included files).
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable
from pathlib import Path

from htcondor_operator.dagman.assembly import Assembler
from htcondor_operator.dagman.errors import DagSyntaxError
from htcondor_operator.dagman.model import Dag

__all__ = ["DagSyntaxError", "parse_dag", "read_dag"]


def parse_dag(text: str, *, file: str = "<text>", read: Callable[[str], str] | None = None) -> Dag:
    """Parse the text of a DAG file.

    Parameters
    ----------
    text
        The file's content.
    file
        Its name, for messages and for the default name of save points.
    read
        Returns the text of an INCLUDEd or SPLICEd file, given its path relative to the folder
        that the DAG is submitted from (the DIRs of splices are joined before it), and raises
        OSError when it cannot. Without it such commands are errors.

    Raises
    ------
    DagSyntaxError
        With file, line, reason and fix; never anything else.
    """
    return Assembler(read, posixpath.dirname(file)).assemble(text, file)


def read_dag(path: str | Path) -> Dag:
    """Parse a DAG file and what it includes and splices.

    Relative names are looked for beside the DAG file, then in the working folder: DAGMan itself
    takes them from the folder that the DAG was submitted from, which is nearly always one of them.
    """
    top = Path(path)

    def read(name: str) -> str:
        beside = top.parent / name
        return _text(beside if beside.exists() else Path(name))

    try:
        text = _text(top)
    except OSError as error:
        reason = (
            f"the file cannot be read ({error.strerror or error}); correct the name or its mode"
        )
        raise DagSyntaxError(str(path), 0, reason) from error
    return parse_dag(text, file=str(path), read=read)


def _text(path: Path) -> str:
    # Names with odd bytes survive: what is read is what a rescue file must say.
    return path.read_bytes().decode("utf-8", errors="surrogateescape")
