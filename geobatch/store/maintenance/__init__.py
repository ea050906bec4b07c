"""Checks and repairs of a store."""

from typing import TYPE_CHECKING

from geobatch.late import late

if TYPE_CHECKING:
    from geobatch.store.maintenance.quarantine import find_object
else:
    # It is seldom needed.
    __getattr__ = late(
        __name__,
        {
            "find_object": "quarantine",
        },
    )

__all__ = ["find_object"]
