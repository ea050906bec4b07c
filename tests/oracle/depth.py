"""How far a test goes: a little by default, far where attacks are asked for."""

from __future__ import annotations

import functools
import os
from pathlib import Path

IS_BRIEF = os.environ.get("HYPOTHESIS_PROFILE") == "brief"
IS_ATTACK = os.environ.get("HYPOTHESIS_PROFILE") in {"attack", "soak"}
_ATTACK_WORDS = ("attack", "is_long")
"""A file whose tests are marked, and not by its name, has one of these words."""


def examples(few: int, many: int) -> int:
    """Return how many examples Hypothesis tries: few in the default run, many in `just attack`.

    A brief run, on another interpreter, tries a third of the few.
    """
    return many if IS_ATTACK else -(-few // 3) if IS_BRIEF else few


@functools.cache
def may_hold_attacks(path: Path, slow: tuple[str, ...]) -> bool:
    """Return whether a file of tests may have one that is marked `attack`."""
    if not {path.name, path.parent.name}.isdisjoint(slow):
        return True
    text = path.read_text(encoding="utf-8")
    return any(word in text for word in _ATTACK_WORDS)
