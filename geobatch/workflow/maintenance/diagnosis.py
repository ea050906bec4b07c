"""What an examination found, thing by thing."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct


class Health(StrEnum):
    """How a thing is."""

    OK = "ok"
    NOTE = "note"
    """It limits what can be done."""
    FAIL = "fail"
    """It prevents work."""


class Diagnosis(Struct, frozen=True, kw_only=True):
    """One thing that was examined."""

    group: str
    """What it belongs to: software, GDAL, store, bucket, computer, credentials."""
    name: str
    """What it is."""
    health: Health = Health.OK
    """How it is."""
    found: str
    """What was found; never the value of a credential."""
    hint: str = ""
    """What to do about it; empty if nothing."""
