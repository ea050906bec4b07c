"""Masks of windows, whatever the kind of source: weights, and footprints."""
