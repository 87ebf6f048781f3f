"""OWL's part of the Airflow web server (entry-point group ``airflow.plugins``)."""

from __future__ import annotations

from typing import Any

from airflow.plugins_manager import AirflowPlugin

from htcondor_operator.console.addresses import STATIC, static_file
from htcondor_operator.console.extra_links import LINKS
from htcondor_operator.timetables import ObservationDays

BUNDLE = STATIC / "main.js"

# Airflow's React app looks a bundle up by its name, which is a global of the page: hence "OWL ...".
# Airflow (3.3.2) drops an app whose route another one has, wherever that one is.
_PLACES = (
    ("OWL", "nav", "owl"),
    ("OWL dataset", "dag_run", "owl-dataset"),
    ("OWL node", "task_instance", "owl-node"),
    ("OWL card", "dashboard", None),
)


def _react_apps() -> list[dict[str, Any]]:
    if not BUNDLE.is_file():
        return []
    common = {
        "bundle_url": static_file(BUNDLE.name),
        "icon": static_file("owl.svg"),
        "icon_dark_mode": static_file("owl-dark.svg"),
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
