"""Errors of services and networks, explained: who asked for what, what is missing, what helps."""
