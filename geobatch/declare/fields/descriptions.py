"""The docstring under each field of a spec's classes, read on demand.

Pydantic reads them, too, but whenever a class is made: every command would parse its own source.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Mapping
from functools import cache
from itertools import pairwise

from pydantic import BaseModel


@cache
def descriptions(part: type[BaseModel]) -> Mapping[str, str]:
    """Return the docstrings of the fields of a class and its base classes, by field."""
    words: dict[str, str] = {}
    for owner in reversed(part.__mro__):
        if owner is BaseModel or not issubclass(owner, BaseModel):
            continue
        (made,) = ast.parse(inspect.getsource(owner)).body
        for field, line in pairwise(getattr(made, "body", ())):
            if isinstance(field, ast.AnnAssign) and isinstance(line, ast.Expr):
                words[ast.unparse(field.target)] = inspect.cleandoc(ast.literal_eval(line.value))
    return words
