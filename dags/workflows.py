"""One Airflow DAG per workflow template of ``include/templates``."""

from htcondor_operator.dag_factory import make_dags
from htcondor_operator.settings import Settings

globals().update(make_dags(Settings.from_environment().templates))
