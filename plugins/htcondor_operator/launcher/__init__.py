"""The `./owl` stack: install, start, watch and stop every service."""
