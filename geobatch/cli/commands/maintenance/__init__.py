"""The commands that care for a store over the years."""
