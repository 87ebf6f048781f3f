"""Reads lists of datasets: one name per line, or the first column of a CSV file."""

from __future__ import annotations

from collections.abc import Iterable

from htcondor_operator.vocabulary import ErrorKind, OwlError, dataset_name

_HEADINGS = frozenset({"dataset", "fileset"})


def read_datasets(lines: Iterable[str], source: str) -> list[str]:
    """Return the names in `lines`, each once, in their order.

    Empty lines, ``# comments`` and a heading ``dataset`` or ``fileset`` are passed over.

    Raises
    ------
    OwlError
        ``BAD_NAME`` with the line's number.
    """
    names: dict[str, None] = {}
    for number, line in enumerate(lines, 1):
        word = line.partition("#")[0].partition(",")[0].strip().lstrip("\ufeff")
        if not word or (not names and word.lower() in _HEADINGS):
            continue
        try:
            names[dataset_name(word)] = None
        except OwlError as error:
            raise OwlError(
                ErrorKind.BAD_NAME, f"{source}, line {number}: {error.message}"
            ) from None
    return list(names)
