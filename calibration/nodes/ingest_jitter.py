"""INGEST_ENG: an exposure's jitter file into the archive, where the exposure's products go too."""

from __future__ import annotations

from calibration.archive import Entry, store
from calibration.context import Context, step
from calibration.observation import product


def run(context: Context) -> None:
    """Archive ``_jit``; running again changes nothing."""
    path = context.needs("jit", "JIT")
    entry = Entry(path, product("jit", context.dataset))
    changed = store(context.shelf, {path.name: entry}, {"dataset": context.dataset})
    step(f"INGEST_ENG {path.name} {'archived' if changed else 'was in the archive already'}")
