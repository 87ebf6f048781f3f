"""Airflow executors."""
