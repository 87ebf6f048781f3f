"""Measure the calibration against its peers from PyPI and against the machine's memory."""
