"""The backend in a bucket keeps the contract of backends on each service, also on a bad line."""

from __future__ import annotations

import pytest
from buckets import Enter
from servers import Bucket

from geobatch.buckets.url import parse_bucket_url
from geobatch.store.backends.object_store import ObjectStoreBackend
from geobatch.testing.backend import BackendContract


def backend_of(bucket: Bucket) -> ObjectStoreBackend:
    return ObjectStoreBackend(parse_bucket_url(bucket.url))


class TestBucketBackend(BackendContract):
    @pytest.fixture
    def backend(self, bucket: Bucket, enter: Enter) -> ObjectStoreBackend:
        return backend_of(enter(bucket))
