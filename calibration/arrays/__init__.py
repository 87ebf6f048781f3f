"""Array mathematics: arrays in, arrays out; no files, no headers."""
