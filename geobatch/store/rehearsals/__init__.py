"""Rehearsals: plans that were executed and not published, what keeps them, and what they change."""
