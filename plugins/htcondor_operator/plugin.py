"""OWL's part of the Airflow web server (entry-point group ``airflow.plugins``)."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from airflow.configuration import conf
from airflow.plugins_manager import AirflowPlugin

from htcondor_operator.timetables import ObservationDays

BUNDLE = Path(__file__).with_name("console") / "static" / "main.js"

# Airflow's React app looks a bundle up by its name, which is a global of the page: hence "Owl ...".
_PLACES = (
    ("Owl Console", "nav", "owl"),
    ("Owl Dataset", "dag_run", "owl"),
    ("Owl Node", "task_instance", "owl"),
    ("Owl Card", "dashboard", None),
)


def _bundle_url() -> str:
    base = conf.get("api", "base_url", fallback="").rstrip("/")
    digest = hashlib.sha256(BUNDLE.read_bytes()).hexdigest()[:12]
    return f"{base}/owl/static/main.js?v={digest}"


def _react_apps() -> list[dict[str, Any]]:
    if not BUNDLE.is_file():
        return []
    url = _bundle_url()
    return [
        {"name": name, "bundle_url": url, "destination": place}
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
