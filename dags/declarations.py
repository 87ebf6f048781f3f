"""No DAG: an import error here names the pollers and alerts that are not declared right.

A file of its own, because Airflow lets nothing be triggered whose own file has an import error.
"""

from htcondor_operator.alerts.configuration import load_alerting
from htcondor_operator.poller_dags import check_pollers
from htcondor_operator.settings import Settings

check_pollers(Settings.from_environment().pollers)
load_alerting(Settings.from_environment().alerts)
