"""Airflow notifiers and failure messages."""
