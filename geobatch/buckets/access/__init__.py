"""Who asks a bucket, and by which endpoint: credentials where each cloud's own tools find them."""

from typing import TYPE_CHECKING

from geobatch.late import late

if TYPE_CHECKING:
    from geobatch.buckets.access.az import az_access
    from geobatch.buckets.access.by_boto3 import credentials_of_profile
    from geobatch.buckets.access.by_google_auth import credentials_of_file
    from geobatch.buckets.access.google_default import google_token
    from geobatch.buckets.access.gs import gs_access
    from geobatch.buckets.access.metadata import ask
    from geobatch.buckets.access.region import find_region
    from geobatch.buckets.access.s3 import s3_access
else:
    # One cloud is used; and few credentials need a question to a server, or another library.
    __getattr__ = late(
        __name__,
        {
            "ask": "metadata",
            "az_access": "az",
            "credentials_of_file": "by_google_auth",
            "find_region": "region",
            "google_token": "google_default",
            "gs_access": "gs",
            "s3_access": "s3",
            "credentials_of_profile": "by_boto3",
        },
    )

__all__ = [
    "ask",
    "az_access",
    "credentials_of_file",
    "credentials_of_profile",
    "find_region",
    "google_token",
    "gs_access",
    "s3_access",
]
