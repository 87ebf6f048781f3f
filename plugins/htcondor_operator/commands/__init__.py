"""The `owl` command: one module per noun, each with a typer `app`."""
