"""Specs as written: load with positions, validate, format."""
