"""One Airflow DAG per poller of ``include/pollers.yaml``."""

from htcondor_operator.poller_dags import make_poller_dags
from htcondor_operator.settings import Settings

globals().update(make_poller_dags(Settings.from_environment().pollers))
