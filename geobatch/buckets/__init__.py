"""Objects in buckets: S3, Google Cloud Storage, Azure. The only room that loads obstore."""

from typing import TYPE_CHECKING

from geobatch.late import late

if TYPE_CHECKING:
    from geobatch.buckets.objects import PAGE, fetch, head, list_objects
    from geobatch.buckets.place import place_of
    from geobatch.buckets.pool import requests_pool
else:
    # These load obstore, or threads.
    __getattr__ = late(
        __name__,
        {
            "PAGE": "objects",
            "fetch": "objects",
            "head": "objects",
            "list_objects": "objects",
            "place_of": "place",
            "requests_pool": "pool",
        },
    )

__all__ = ["PAGE", "fetch", "head", "list_objects", "place_of", "requests_pool"]
