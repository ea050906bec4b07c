"""Specs and headers to fully resolved assets."""

from geobatch.resolve.assets import resolve

__all__ = ["resolve"]
