"""Coordinate reference systems, and boxes from one to another (PROJ)."""

from typing import TYPE_CHECKING

from geobatch.late import late

if TYPE_CHECKING:
    from geobatch.sources.projections.turns import turn_of_plane
else:
    # Only planes need it.
    __getattr__ = late(
        __name__,
        {
            "turn_of_plane": "turns",
        },
    )

__all__ = ["turn_of_plane"]
