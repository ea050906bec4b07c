"""How published assets appear to other tools."""

from typing import TYPE_CHECKING

from geobatch.late import late

if TYPE_CHECKING:
    from geobatch.views.store_views import StoreViews
else:
    # These load what describes arrays.
    __getattr__ = late(
        __name__,
        {
            "StoreViews": "store_views",
        },
    )

__all__ = ["StoreViews"]
