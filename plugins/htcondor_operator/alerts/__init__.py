"""Alerts: found by SQL, decided on by a pure function, told by Airflow's notifiers."""
