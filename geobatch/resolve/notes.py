"""What stages say of an image, at elements of its spec: warnings, and why it is refused."""

from __future__ import annotations

from typing import NamedTuple

from geobatch.declare import Loc


class Note(NamedTuple):
    """A warning, or the reason of a refusal; whoever has the spec knows the line."""

    loc: Loc
    """The element of the spec."""
    rule: str
    """Stable name of the rule."""
    message: str
    """What is wrong."""
    hint: str | None = None
    """What to write instead."""


class RefusalError(Exception):
    """A spec and its sources do not fit together; `resolve_images` makes it a `SpecError`."""

    def __init__(self, loc: Loc, rule: str, message: str, hint: str | None = None) -> None:
        """Make the error; the arguments are those of a note."""
        super().__init__(message)
        self.note = Note(loc, rule, message, hint)
