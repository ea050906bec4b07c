"""Specs and headers to fully decided assets."""
