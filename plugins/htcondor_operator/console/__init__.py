"""OWL's pages inside Airflow's web UI: a FastAPI application and the bundle that it serves."""
