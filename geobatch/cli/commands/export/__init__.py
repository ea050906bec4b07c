"""The command `export`, by format."""
