"""Problems of one document, as they are found: where, which hint, and when these are enough."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct, field

from geobatch.declare.hints import did_you_mean
from geobatch.declare.loading.enough import MAX_HINTED, is_enough
from geobatch.declare.specs import Loc, Positions
from geobatch.errors import Problem


class EnoughError(Exception):
    """There are enough problems."""


class Reporter(Struct, kw_only=True):
    """The problems of one document."""

    positions: Positions
    """The positions of its elements."""
    problems: list[Problem] = field(default_factory=list)
    """Problems found."""
    _hinted: int = 0

    def report(self, loc: Loc, rule: str, message: str, hint: str | None = None) -> None:
        """Note a problem.

        Raises:
            EnoughError: These are enough.
        """
        self.problems.append(problem_at(self.positions, loc, rule, message, hint))
        if is_enough(self.problems):
            raise EnoughError

    def hint(self, name: str, known: Iterable[str]) -> str | None:
        """Return which name was probably meant; only the first problems get this hint."""
        self._hinted += 1
        return did_you_mean(name, known) if self._hinted <= MAX_HINTED else None


def problem_at(
    positions: Positions, loc: Loc, rule: str, message: str, hint: str | None
) -> Problem:
    """Return a problem at an element of a document."""
    path, line, column = positions.where(loc)
    return Problem(path=path, line=line, column=column, rule=rule, message=message, hint=hint)
