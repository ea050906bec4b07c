"""Published images as Zarr v3: the plain tree on disk, and a read-only zarr store."""

from typing import TYPE_CHECKING

from geobatch.late import late

if TYPE_CHECKING:
    from geobatch.views.zarr.commit_store import open_group
    from geobatch.views.zarr.staging import Staging
else:
    # These load what describes arrays, and zarr.
    __getattr__ = late(
        __name__,
        {
            "Staging": "staging",
            "open_group": "commit_store",
        },
    )

__all__ = ["Staging", "open_group"]
