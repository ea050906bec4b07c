"""The commands that keep a store: roll back, check out, verify, diagnose."""
