"""The content-addressed tile store and its Zarr views."""

from typing import TYPE_CHECKING

from geobatch.late import late

if TYPE_CHECKING:
    from geobatch.store.threads import in_threads
else:
    # Only calls that are requests are worth threads.
    __getattr__ = late(
        __name__,
        {
            "in_threads": "threads",
        },
    )

__all__ = ["in_threads"]
