"""The resolved image: its masked bands, its parts, and its pinned sources."""
