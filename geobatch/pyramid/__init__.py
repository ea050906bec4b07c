"""Pyramid levels as pure numpy: how groups of masked pixels become one pixel."""
