"""No DAG: an import error here names the templates that cannot be used (workflows.py omits them).

A file of its own, because Airflow lets nothing be triggered whose own file has an import error.
"""

from htcondor_operator.dag_factory import check_templates
from htcondor_operator.settings import Settings

check_templates(Settings.from_environment().templates)
