"""Names of the objects that geobatch writes for itself."""

from __future__ import annotations

PROOFS = "proofs/"
"""Folder with an object for each service that was found to honour conditions."""
