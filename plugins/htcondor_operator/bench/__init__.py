"""Measurements of OWL against the bare HTCondor below it: ``owl bench``."""
