"""The daemon that folds HTCondor's event log into the blackboard."""
