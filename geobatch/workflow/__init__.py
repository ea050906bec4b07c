"""The stages in a row: load, resolve, plan, execute, publish, show."""
