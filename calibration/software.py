"""Which software calibrates: written into products and into the archive."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

VERSION = "OWL 0.1"

_PACKAGES = ("numpy", "astropy", "crds", "drizzle")


def versions() -> dict[str, str]:
    """Return name and version of everything that can make a difference to a product."""
    found = {"calibration": VERSION, "python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
