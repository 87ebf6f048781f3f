"""One module per pipeline node."""
