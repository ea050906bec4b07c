"""Rehearsals: a plan is executed without publishing it, and its result is published later."""
