"""The ``owl`` command line: finds the noun's module and hands over.

A noun is a module of :mod:`htcondor_operator.commands` with a ``typer`` application named ``app``.
It is imported only when it is called, so that ``owl dag show`` does not pay for Airflow.
"""

from __future__ import annotations

import importlib
import pkgutil
import sys

from htcondor_operator import commands
from htcondor_operator.vocabulary import OwlError


def nouns() -> list[str]:
    """Return the names of all nouns."""
    names = (module.name for module in pkgutil.iter_modules(commands.__path__))
    return sorted(name for name in names if not name.startswith("_"))


def main(argv: list[str] | None = None) -> None:
    """Run ``owl NOUN ...``; an :class:`OwlError` becomes one clear line and exit code 2."""
    arguments = sys.argv[1:] if argv is None else argv
    known = nouns()
    if not arguments or arguments[0] in {"-h", "--help"}:
        sys.stdout.write(f"usage: owl NOUN ...\nnouns: {', '.join(known)}\n")
        raise SystemExit(0)
    noun = arguments[0]
    if noun not in known:
        sys.stderr.write(f"owl: there is no {noun!r}; known: {', '.join(known)}\n")
        raise SystemExit(2)
    app = importlib.import_module(f"htcondor_operator.commands.{noun}").app
    try:
        app(args=arguments[1:], prog_name=f"owl {noun}")
    except OwlError as error:
        sys.stderr.write(f"owl: {error.kind.value}: {error.message}\n")
        raise SystemExit(2) from error
