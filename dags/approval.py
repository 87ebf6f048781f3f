"""The Airflow DAG that asks a person about a proposed campaign."""

from htcondor_operator.campaign_dags import make_approval_dag

dag = make_approval_dag()
