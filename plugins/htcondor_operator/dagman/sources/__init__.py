"""Readers of the files that DAGMan leaves behind: text in, plain data out."""
