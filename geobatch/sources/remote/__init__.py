"""Objects on HTTP servers, read by exact byte ranges and in one state."""

from typing import TYPE_CHECKING

from geobatch.late import late

if TYPE_CHECKING:
    from geobatch.sources.remote.bucket import BucketFile
    from geobatch.sources.remote.http import HttpFile
    from geobatch.sources.remote.pinned import pieces_of, pin, read_whole
else:
    # Most runs read no object; one that does seldom asks servers and buckets.
    __getattr__ = late(
        __name__,
        {
            "BucketFile": "bucket",
            "HttpFile": "http",
            "pieces_of": "pinned",
            "pin": "pinned",
            "read_whole": "pinned",
        },
    )

__all__ = ["BucketFile", "HttpFile", "pieces_of", "pin", "read_whole"]
