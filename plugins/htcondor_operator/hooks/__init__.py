"""Airflow hooks (connections)."""
