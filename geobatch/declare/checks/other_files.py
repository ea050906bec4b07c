"""Files that are something else than they should be: nothing in them is quoted."""

from __future__ import annotations

from functools import cache

from geobatch.declare.fields.keys import fields_of, part_of, spellings
from geobatch.declare.fields.manifest import Part
from geobatch.declare.text.nodes import MappingNode
from geobatch.errors import Problem
from geobatch.model.text.suggest import closest

_COMPARED = 20
"""Most unknown keys of a document that are compared with known ones."""


def other_file_problem(
    root: MappingNode, parts: tuple[type[Part], ...], *, path: str, what: str, hint: str
) -> Problem | None:
    """Return a problem if a document is not what it should be; None if it may be.

    It is if at least half of its keys are known somewhere in it, or are like known ones. Its keys
    and values are not reported: a link may lead to a file with secrets.

    Args:
        root: The document.
        parts: What it may be.
        path: Its file, as the user named it.
        what: What it should be, such as `a spec`.
        hint: What to do.
    """
    names = {key.text for key, _ in root.entries}
    known = frozenset[str]().union(*map(_names, parts))
    others = sorted(names - known)
    alike = sum(bool(closest(name, known, cutoff=0.75)) for name in others[:_COMPARED])
    if len(others) - alike <= len(names) / 2:
        return None
    return Problem(
        path=path,
        line=root.line,
        column=root.column,
        rule="other-file",
        message=f"this is not {what}: {len(others)} of its {len(names)} keys are of something else",
        hint=hint,
    )


@cache
def _names(part: type[Part]) -> frozenset[str]:
    """Return every key that a mapping or a mapping in it may have."""
    found = set(spellings(part))
    for name in fields_of(part):
        inner = part_of(part, name)
        if inner is not None and inner is not part:
            found |= _names(inner)
    return frozenset(found)
