"""What is known of a source file before its pixels are read."""

from typing import TYPE_CHECKING

from geobatch.late import late

if TYPE_CHECKING:
    from geobatch.model.sources.moment import parse_moment
else:
    # This loads what reads mail.
    __getattr__ = late(
        __name__,
        {
            "parse_moment": "moment",
        },
    )

__all__ = ["parse_moment"]
