"""How far a test goes: a little by default, far where attacks are asked for."""

from __future__ import annotations

import os

IS_ATTACK = os.environ.get("HYPOTHESIS_PROFILE") in {"attack", "soak"}


def examples(few: int, many: int) -> int:
    """Return how many examples Hypothesis tries: few in the default run, many in `just attack`."""
    return many if IS_ATTACK else few
