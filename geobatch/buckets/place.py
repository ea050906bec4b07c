"""Where a bucket of Google Cloud Storage is, and of which storage class: what its service says."""

from __future__ import annotations

import json
import urllib.request
from contextlib import suppress
from typing import Any
from urllib.parse import quote

from msgspec import Struct

from geobatch.buckets import access as ways
from geobatch.buckets.client import access_of
from geobatch.buckets.url import BucketUrl
from geobatch.errors import GeobatchError

_SERVICE = "https://storage.googleapis.com"
_PATIENCE = 10
_MOST = 64 << 10


class Place(Struct, frozen=True, kw_only=True):
    """Where the objects of a bucket are."""

    location: str
    """Such as `US`, `NAM4`, `EUROPE-WEST1`."""
    kind: str
    """`region`, `dual-region` or `multi-region`."""
    storage_class: str
    """That of new objects: `STANDARD`, `NEARLINE`, ..."""
    regions: tuple[str, ...] = ()
    """Regions of a dual-region that the owner composed."""


def place_of(url: BucketUrl) -> Place | None:
    """Return where a bucket is; None if its service cannot be asked, or does not say.

    One request to Google's service, which needs the permission `storage.buckets.get`. Credentials
    are used where they are, and need Google's own library: the extra `geobatch[gs]`.
    """
    if url.scheme != "gs":
        return None
    with suppress(GeobatchError, OSError, ValueError, KeyError, TypeError):
        found = _ask(url)
        regions = (found.get("customPlacementConfig") or {}).get("dataLocations", ())
        return Place(
            location=str(found["location"]).upper(),
            kind=str(found.get("locationType", "")).lower(),
            storage_class=str(found["storageClass"]).upper(),
            regions=tuple(str(one).upper() for one in regions),
        )
    return None


def _ask(url: BucketUrl) -> dict[str, Any]:
    access = access_of(url)
    headers = dict(access.headers)
    if not access.is_anonymous:
        headers["Authorization"] = f"Bearer {_token()}"
    fields = "location,locationType,storageClass,customPlacementConfig"
    address = f"{access.endpoint or _SERVICE}/storage/v1/b/{quote(url.bucket)}?fields={fields}"
    request = urllib.request.Request(address, headers=headers)  # noqa: S310 - the service's address
    with urllib.request.urlopen(request, timeout=_PATIENCE) as answer:  # noqa: S310 - likewise
        found: dict[str, Any] = json.loads(answer.read(_MOST))
    return found


def _token() -> str:
    """Return a token of the credentials that are found where Google's tools look.

    Raises:
        ValueError: There are none, or Google's library is not installed.
    """
    try:
        google_token = ways.google_token
    except ImportError as error:
        raise ValueError("`geobatch[gs]` is not installed") from error
    return google_token()
