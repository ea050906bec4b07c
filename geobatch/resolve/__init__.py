"""Specs and headers to fully decided assets."""

from geobatch.resolve.resolver import resolve

__all__ = ["resolve"]
