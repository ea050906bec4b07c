"""Times in HTTP headers."""

from __future__ import annotations

from datetime import UTC, datetime


def parse_moment(text: str) -> datetime | None:
    """Return the time in an HTTP header, or None."""
    from email.utils import parsedate_to_datetime  # noqa: PLC0415 - slow to import

    try:
        found = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
