"""Airflow and HTCondor: DAGMan workflows mirrored node by node."""
