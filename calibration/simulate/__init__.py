"""Simulated exposures, references and telemetry, and the staging of real ones."""
