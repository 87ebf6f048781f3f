"""The shoveler: which entries go into Airflow, when, and how exactly once."""
