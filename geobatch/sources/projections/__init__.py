"""Coordinate reference systems, and boxes from one to another (PROJ)."""
