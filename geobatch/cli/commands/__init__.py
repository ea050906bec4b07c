"""The commands: a module per group that belongs together, loaded when one of them runs."""
