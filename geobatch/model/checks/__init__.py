"""Checks of data: what specs require of pixels and grids, what is counted, and what came of it."""
