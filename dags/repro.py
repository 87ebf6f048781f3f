"""One DAG per instrument whose runs reprocess days of observation (``airflow backfill create``)."""

from htcondor_operator.campaign_dags import make_repro_dags

globals().update(make_repro_dags())
