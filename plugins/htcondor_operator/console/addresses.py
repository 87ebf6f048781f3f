"""Where the console's pages are, for whoever links to them from outside of its bundle.

Addresses begin with the path of ``[api] base_url`` and have no host: a browser that came to Airflow
by another name (a tunnel, a second proxy) stays with it.
"""

from __future__ import annotations

from urllib.parse import urlencode, urlsplit

from airflow.configuration import conf

CONSOLE = "plugin/owl"


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
