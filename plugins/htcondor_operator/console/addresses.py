"""Where the console's pages are, for whoever links to them from outside of its bundle.

Addresses begin with the path of ``[api] base_url`` and have no host: a browser that came to Airflow
by another name (a tunnel, a second proxy) stays with it.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path
from urllib.parse import urlencode, urlsplit

from airflow.configuration import conf

CONSOLE = "plugin/owl"
STATIC = Path(__file__).with_name("static")
"""Of the built bundle."""


def base_path() -> str:
    """Return the path below which Airflow is served; ``""`` for the host's root."""
    return urlsplit(str(conf.get("api", "base_url", fallback=""))).path.rstrip("/")


def page(name: str, **query: str | int) -> str:
    """Return the address of a page (``flow``, ``errors``)."""
    asked = f"?{urlencode(query)}" if query else ""
    return f"{base_path()}/{CONSOLE}/{name}{asked}"


def run_page(dag_id: str, run_id: str, **query: str | int) -> str:
    """Return the address of a run's page by Airflow's names for it.

    Parameters
    ----------
    query
        What of the page: ``view``, ``node``, ``attempt``, ``try``, ``stream``.
    """
    return page("find", dag_id=dag_id, run_id=run_id, **query)


def static_file(name: str) -> str:
    """Return the address of a file of the bundle, relative to the page's ``<base href>``.

    So it comes from where the page came from, whatever proxy or tunnel is between: Airflow (3.3.2)
    resolves a bundle's address against the document, as the browser does with an icon's.
    """
    return f"owl/static/{name}?v={digest(STATIC / name)}"


def digest(file: Path) -> str:
    """Return what changes when a file does."""
    return _digest(file, file.stat().st_mtime_ns)


@lru_cache(maxsize=32)
def _digest(file: Path, _changed: int) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()[:12]
