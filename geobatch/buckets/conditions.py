"""Whether a service honours conditions: without them, two writers of one name both succeed."""

from __future__ import annotations

import uuid

from geobatch.buckets import writes
from geobatch.buckets.client import access_of
from geobatch.buckets.errors import BucketError, Failure
from geobatch.buckets.names import PROOFS
from geobatch.buckets.redaction import redact
from geobatch.buckets.url import BucketUrl
from geobatch.model.digest import digest_bytes

_NAMES = {"s3": "Amazon S3", "gs": "Google Cloud Storage", "az": "Azure Blob Storage"}


def service_of(url: BucketUrl) -> str:
    """Return which service a bucket is at, for messages: its name, or its address."""
    return redact(access_of(url).endpoint) or _NAMES[url.scheme]


def is_proved(prefix: BucketUrl) -> bool:
    """Return whether the service of a store was found to honour conditions; nothing is written.

    Raises:
        BucketError: A request failed.
    """
    return writes.state(_proof_of(prefix)) is not None


def _proof_of(prefix: BucketUrl) -> BucketUrl:
    service = f"{prefix.scheme} {service_of(prefix)}"
    return prefix.child(f"{PROOFS}{digest_bytes(service.encode())[:16]}")


def prove_conditions(prefix: BucketUrl) -> None:
    """Create a name twice, unless that was done before at this service: the second must fail.

    What was found is kept below the prefix, by a digest of the service's address: a copy of the
    objects at another service is proved again.

    Args:
        prefix: Bucket and prefix of a store.

    Raises:
        BucketError: The service ignores conditions, or a request failed.
    """
    if is_proved(prefix):
        return
    service = service_of(prefix)
    tried = prefix.child(f"{PROOFS}{uuid.uuid4().hex}")
    try:
        is_first = writes.create(tried, b"first\n") is None
        is_second = writes.create(tried, b"second\n") is None
        kept = writes.read(tried)
    finally:
        writes.delete([tried])
    if not is_first or is_second or kept != b"first\n":
        raise BucketError(
            Failure.OTHER,
            f"the service `{service}` ignores conditions: of two writers that create one name, both"
            " succeed, so commits would be lost",
            hint="use a service that honours `If-None-Match: *`: Amazon S3, Google Cloud Storage, "
            "Azure Blob Storage, MinIO, Ceph, SeaweedFS or Cloudflare R2",
        )
    writes.write(_proof_of(prefix), b"This service honours conditions.\n")
