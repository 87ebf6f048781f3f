"""OWL's part of the Airflow web server (entry-point group ``airflow.plugins``).

It serves nothing yet. Whatever it will serve must ask for a login at the level of the whole
application: Airflow (3.3.2) does not protect a plugin's routes by itself.
"""

from __future__ import annotations

from airflow.plugins_manager import AirflowPlugin

from htcondor_operator.timetables import ObservationDays


class OwlPlugin(AirflowPlugin):
    """Registers OWL with Airflow."""

    name = "owl"
    timetables = [ObservationDays]  # noqa: RUF012 - Airflow's declaration
