"""Simulated science telemetry: CCSDS packets of one exposure, and back."""
