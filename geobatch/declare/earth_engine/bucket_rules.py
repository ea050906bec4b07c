"""What Earth Engine's guide demands of the buckets of COGs that it reads in place."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from geobatch.buckets.url import BucketUrl, parse_bucket_url
from geobatch.declare.earth_engine.bucket_uris import BUCKETS

if TYPE_CHECKING:
    from geobatch.buckets.place import Place

_REGION = "US-CENTRAL1"
_DUAL = ("NAM4",)
"""Google's own dual-regions that contain the region."""
_RULE = (
    "Earth Engine reads COGs only from buckets in the multi-region US, in US-CENTRAL1 or in a"
    " dual-region with it, of the storage class Standard"
)


def bucket_notes(
    uris: Iterable[str], place_of: Callable[[BucketUrl], Place | None]
) -> Iterator[str]:
    """Yield what is wrong with the buckets of an external image, or that it cannot be known.

    Args:
        uris: Those of the manifest.
        place_of: Returns where a bucket is, or None.
    """
    for bucket in dict.fromkeys(filter(None, map(_bucket, uris))):
        place = place_of(bucket)
        if place is None:
            yield (
                f"{_RULE}; whether `{bucket}` is one cannot be asked from here: `gcloud storage"
                f" buckets describe {bucket}` shows its location and its default storage class"
            )
            continue
        if not _is_near(place):
            where = f"{place.kind} " if place.kind else ""
            yield f"{_RULE}, but `{bucket}` is in the {where}{place.location}"
        if place.storage_class != "STANDARD":
            yield f"{_RULE}, but new objects of `{bucket}` are {place.storage_class}"


def _bucket(uri: str) -> BucketUrl | None:
    try:
        return parse_bucket_url(uri).at("") if uri.startswith(BUCKETS) else None
    except ValueError:
        return None


def _is_near(place: Place) -> bool:
    if place.regions:
        return _REGION in place.regions
    if place.kind == "dual-region":
        return place.location in _DUAL
    return place.location in ("US", _REGION)
