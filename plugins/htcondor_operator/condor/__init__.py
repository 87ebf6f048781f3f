"""The bridge to HTCondor: gateway, submission, control, starter hooks, private pool."""
