"""Spec files to specs: each document read, checked and cached."""
