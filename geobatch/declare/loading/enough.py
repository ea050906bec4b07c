"""How many problems are enough: a file that holds a million mistakes prints no million lines."""

from __future__ import annotations

from collections.abc import Sized

from msgspec.structs import replace

from geobatch.errors import Problem
from geobatch.model.limits import SPEC_PROBLEMS

MAX_HINTED = 200
"""How many problems of one kind get a hint that compares names: each comparison takes a while."""


def is_enough(problems: Sized) -> bool:
    """Return whether there are more problems than are shown."""
    return len(problems) > SPEC_PROBLEMS.value


def limited(problems: list[Problem]) -> list[Problem]:
    """Return the problems up to the limit; then one more says that the rest was not checked."""
    if not is_enough(problems):
        return problems
    most = SPEC_PROBLEMS.value
    message = f"more than {most:,} problems; the rest was not checked"
    hint = f"correct these first; or {SPEC_PROBLEMS.hint()}"
    return [*problems[:most], replace(problems[most], message=message, hint=hint)]
