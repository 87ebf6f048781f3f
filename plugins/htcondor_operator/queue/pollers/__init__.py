"""Pollers: what is delivered, whether it is good, what it belongs to, and the entries it causes."""
