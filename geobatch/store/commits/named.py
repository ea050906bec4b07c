"""A commit by any of its names, those of pins included."""

from __future__ import annotations

import re

from geobatch.errors import NotFoundError
from geobatch.model.published import Head
from geobatch.store.commits.history import History
from geobatch.store.commits.pins import Pins

_EXACT = re.compile("[0-9]+|HEAD(~[0-9]+)?|[0-9a-f]{64}")
"""Numbers, steps back, and whole digests: they win against a pin of that name."""


def find_commit(ref: str, commits: History, pins: Pins) -> Head:
    """Return a commit by digest, unique prefix, number, `HEAD~n`, or the name of a pin.

    What may be both is the commit if it is a number, `HEAD~n` or a whole digest; else the pin.

    Raises:
        NotFoundError: There is no such commit and no such pin; see `History.at`.
        CorruptObjectError: The pin is damaged, or its ref, the commit or its tree.
    """
    is_exact = _EXACT.fullmatch(ref) is not None
    pin = None if is_exact else pins.find(ref)
    try:
        head = commits.at(ref if pin is None else pin.commit)
    except NotFoundError:
        named = pins.find(ref) if is_exact else None
        if named is None:
            raise
        return commits.at(named.commit)
    # Digits beyond the last number may be how a digest starts: the pin of that name wins.
    is_prefix = ref.isascii() and ref.isdigit() and head.number != int(ref)
    named = pins.find(ref) if is_prefix else None
    return head if named is None else commits.at(named.commit)
