"""The backend in a bucket keeps the contract of backends on each service, also on a bad line."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from buckets import Before, Enter
from proxy import spoil
from servers import Bucket, Server

from geobatch.buckets.url import parse_bucket_url
from geobatch.store.backends.object_store import ObjectStoreBackend
from geobatch.store.backends.protocol import Backend
from geobatch.testing.backend import BackendContract


def backend_of(bucket: Bucket) -> ObjectStoreBackend:
    return ObjectStoreBackend(parse_bucket_url(bucket.url))


class _Contract(BackendContract):
    kind: str

    @pytest.fixture
    def bucket(self, servers: Callable[[str], Server]) -> Bucket:
        return servers(self.kind).bucket()

    @pytest.fixture
    def backend(self, bucket: Bucket, enter: Enter) -> ObjectStoreBackend:
        return backend_of(enter(bucket))


class TestS3Backend(_Contract):
    kind = "s3"
    races = 3  # SeaweedFS lets those who lose a race wait for some seconds


class TestGoogleBackend(_Contract):
    kind = "gs"


class TestAzureBackend(_Contract):
    kind = "az"


class _ContractOnABadLine(_Contract):
    """All of it but what two callers with the same bytes are told when an answer is lost."""

    races = 3

    @pytest.fixture
    def backend(self, bucket: Bucket, enter: Enter, before: Before) -> ObjectStoreBackend:
        proxy, there = before(bucket)
        self.faults = spoil(proxy, bucket.kind)
        return backend_of(enter(there))

    def test_create_takes_a_name_once(self, backend: Backend) -> None:
        """Who is in doubt, and finds the own bytes, has won."""
        for number in range(20):
            name = f"refs/main/{number}"
            assert backend.create(name, b"first")
            assert not backend.create(name, b"second")
            assert not backend.create(name, b"whichever")
            assert backend.get(name) == b"first"
        assert all(fault.met for fault in self.faults)

    def test_one_of_racing_puts_is_new(self, backend: Backend) -> None:
        """At least one learns it, and the bytes are there."""
        for number in range(20):
            assert backend.put(f"objects/{number}", bytes(100_000))
            assert backend.get(f"objects/{number}") == bytes(100_000)

    def test_put_keeps_what_is_there(self, backend: Backend) -> None:
        """A second put of the same bytes changes nothing."""
        for number in range(20):
            assert backend.put(f"objects/{number}", b"one")
            backend.put(f"objects/{number}", b"one")
            assert backend.get(f"objects/{number}") == b"one"

    @pytest.mark.parametrize("name", ["../a"])
    def test_a_name_cannot_escape(self, backend: Backend, name: str) -> None:
        """Nothing is sent for it, on any line."""
        super().test_a_name_cannot_escape(backend, name)

    @pytest.mark.parametrize("there", [b"", b"whale"])
    def test_put_mends_other_bytes(self, backend: Backend, there: bytes) -> None:
        """What is damaged is written again."""
        backend.replace("objects/a", there)
        assert backend.put("objects/a", b"whole")
        assert backend.get("objects/a") == b"whole"


class TestS3BackendOnABadLine(_ContractOnABadLine):
    kind = "s3"


class TestGoogleBackendOnABadLine(_ContractOnABadLine):
    kind = "gs"


class TestAzureBackendOnABadLine(_ContractOnABadLine):
    kind = "az"
