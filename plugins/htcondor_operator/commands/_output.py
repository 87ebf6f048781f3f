"""How all nouns print: JSON for programs, tables for people."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

_NOT_A_SCREEN = 10_000
"""Columns of a file or pipe: nothing is cut or folded."""


def print_json(value: object) -> None:
    """Print a value as JSON."""
    sys.stdout.write(json.dumps(value, indent=2, default=_plain) + "\n")


def _plain(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


def print_table(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """Print rows; as wide as they are, unless a person looks at a screen."""
    table = Table()
    found = list(rows)
    for name in columns:
        numbers = all(isinstance(row[name], int) for row in found) and bool(found)
        table.add_column(name, justify="right" if numbers else "left")
    for row in found:
        table.add_row(*(Text(_cell(row[name])) for name in columns))
    screen = sys.stdout.isatty()
    Console(file=sys.stdout, width=None if screen else _NOT_A_SCREEN).print(table)


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}"
    if isinstance(value, (dict, list)):
        return json.dumps(value)
    return str(value)
