"""A check of everything that a store holds: every commit, every file."""
