"""Calibration payload: knows nothing of Airflow or HTCondor."""
