"""What waits for Airflow, and how it gets there: pollers, entries, the shoveler, campaigns."""
