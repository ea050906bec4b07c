"""The error for a feature that is not there; it loads nothing that reads records."""

from __future__ import annotations

from collections.abc import Collection

from geobatch.model.text.suggest import suggestion
from geobatch.sources.naming import UnnamedError


def missing_feature(number: int, name: str, found: Collection[str]) -> UnnamedError:
    """Return the error for a record without a requested feature."""
    names = sorted(found)
    shown = ", ".join(f"`{one}`" for one in names[:24]) or "none"
    return UnnamedError(
        f"record {number} has no feature `{name}`; it has {shown}",
        hint=suggestion(name, names) or "every record of an export must have the same features",
    )
