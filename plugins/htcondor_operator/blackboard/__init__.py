"""Tables and set-based SQL: what OWL knows about every run, attempt and node."""
