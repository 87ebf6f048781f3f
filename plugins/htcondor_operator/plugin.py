"""OWL's part of the Airflow web server (entry-point group ``airflow.plugins``)."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from airflow.plugins_manager import AirflowPlugin

from htcondor_operator.console.extra_links import LINKS
from htcondor_operator.timetables import ObservationDays

BUNDLE = Path(__file__).with_name("console") / "static" / "main.js"

# Airflow's React app looks a bundle up by its name, which is a global of the page: hence "OWL ...".
# Airflow (3.3.2) drops an app whose route another one has, wherever that one is.
_PLACES = (
    ("OWL", "nav", "owl"),
    ("OWL dataset", "dag_run", "owl-dataset"),
    ("OWL node", "task_instance", "owl-node"),
    ("OWL card", "dashboard", None),
)


def _static_url(name: str) -> str:
    """Return where a file of the bundle is, relative to the page's ``<base href>``.

    So it comes from where the page came from, whatever proxy or tunnel is between; Airflow (3.3.2)
    resolves a bundle against the document, as the browser does with an icon.
    """
    digest = hashlib.sha256(BUNDLE.with_name(name).read_bytes()).hexdigest()[:12]
    return f"owl/static/{name}?v={digest}"


def _react_apps() -> list[dict[str, Any]]:
    if not BUNDLE.is_file():
        return []
    common = {
        "bundle_url": _static_url(BUNDLE.name),
        "icon": _static_url("owl.svg"),
        "icon_dark_mode": _static_url("owl-dark.svg"),
    }
    return [
        {"name": name, "destination": place, **common}
        | ({"url_route": route} if route else {})
        | ({"nav_top_level": True} if place == "nav" else {})
        for name, place, route in _PLACES
    ]


class _Applications:
    """Made when the web server asks: the other processes do not pay for FastAPI."""

    def __init__(self) -> None:
        self._made: list[dict[str, Any]] | None = None

    def __get__(self, _instance: object, _owner: type) -> list[dict[str, Any]]:
        if self._made is None:
            from htcondor_operator.console.app import PREFIX, make_app

            self._made = [{"app": make_app(), "url_prefix": PREFIX, "name": "OWL"}]
        return self._made


class OwlPlugin(AirflowPlugin):
    """Registers OWL with Airflow."""

    name = "owl"
    timetables = [ObservationDays]  # noqa: RUF012 - Airflow's declaration
    fastapi_apps = _Applications()
    react_apps = _react_apps()
    operator_extra_links = list(LINKS)  # noqa: RUF012 - Airflow's declaration
