"""Commits copied from one store to another: what is missing there, and in which order it goes."""
