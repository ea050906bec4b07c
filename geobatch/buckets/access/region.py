"""The region of a bucket of S3, which S3 tells everybody."""

from __future__ import annotations

import contextlib
import ssl
import urllib.error
import urllib.request
from typing import Any

from geobatch.buckets.access.access import DEFAULT_REGION

_PATIENCE = 5.0
_HEADER = "x-amz-bucket-region"


def find_region(bucket: str, ca_file: str = "") -> str:
    """Return the region of a bucket at AWS; the default if it cannot be found out."""
    return ask_region(f"https://s3.amazonaws.com/{bucket}", ca_file) or DEFAULT_REGION


def ask_region(url: str, ca_file: str = "") -> str:
    """Return the region that a service names when asked for a bucket without a signature.

    Any status brings it, also 301 and 403, so no redirect is followed. The request goes through the
    proxy of the environment. Empty if the service names none.
    """

    class NoRedirects(urllib.request.HTTPRedirectHandler):
        def redirect_request(self, *_: Any) -> None:
            """Follow nothing: the answer that redirects names the region."""

    request = urllib.request.Request(url, method="HEAD")  # noqa: S310 - an endpoint of S3
    with contextlib.suppress(OSError, ValueError):
        trust = ssl.create_default_context(cafile=ca_file or None)
        https = urllib.request.HTTPSHandler(context=trust)
        opener = urllib.request.build_opener(NoRedirects(), https)
        try:
            with opener.open(request, timeout=_PATIENCE) as answer:
                return str(answer.headers.get(_HEADER, ""))
        except urllib.error.HTTPError as error:
            with error:
                return str(error.headers.get(_HEADER, ""))
    return ""
