"""One Airflow DAG per workflow template of ``include/templates``."""

from htcondor_operator.dag_factory import make_dag
from htcondor_operator.dagman.workflows import load_workflow, workflow_folders
from htcondor_operator.settings import Settings

for _folder in workflow_folders(Settings.from_environment().templates):
    _workflow = load_workflow(_folder)
    globals()[_workflow.name] = make_dag(_workflow)
