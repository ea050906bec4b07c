"""Specs and headers to fully decided assets."""

from geobatch.resolve.assets import resolve

__all__ = ["resolve"]
