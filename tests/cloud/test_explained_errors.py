"""What real services answer is explained: who asked, what is missing, and no secret."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from buckets import Enter
from servers import Bucket

from geobatch.buckets.client import access_of, forget_clients
from geobatch.buckets.errors import BucketError, Failure
from geobatch.buckets.objects import fetch, head, list_objects
from geobatch.buckets.url import BucketUrl, parse_bucket_url
from geobatch.buckets.writes import create, read
from geobatch.model.sources.pin import Remote

OTHER_KEY = "bm90LXRoZS1rZXktb2YtdGhlLWFjY291bnQ="


@pytest.fixture
def entered(bucket: Bucket, enter: Enter, monkeypatch: pytest.MonkeyPatch) -> BucketUrl:
    """Lead this process to a bucket of each service, without waiting for repetitions."""
    enter(bucket)
    monkeypatch.setenv("GEOBATCH_BUCKET_RETRIES", "0")
    forget_clients()
    return parse_bucket_url(bucket.url)


def error_of(ask: Callable[[], object]) -> BucketError:
    with pytest.raises(BucketError) as caught:
        ask()
    text = f"{caught.value.message} {caught.value.hint}"
    for secret in ("testsecret", "wrong-secret", OTHER_KEY, "sig=", "Signature="):
        assert secret not in text
    return caught.value


def test_what_is_missing(entered: BucketUrl) -> None:
    there = entered.child("there")
    assert create(there, b"hello") is None
    assert read(there) == b"hello"
    assert access_of(there).endpoint.startswith("http://127.0.0.1:")
    forget_clients()
    for _ in range(2):
        assert error_of(lambda: head(entered.child("a"))).failure is Failure.MISSING
    absent = BucketUrl(scheme=entered.scheme, bucket="no-such-bucket-here", key="a")

    def listing() -> object:
        return list(list_objects(absent.at("")))

    for ask in (
        listing,
        lambda: head(absent),
        lambda: fetch(absent, [(0, 5)], Remote(size=9, etag='"a"')),
    ):
        forget_clients()
        error = error_of(ask)
        if ask is not listing and error.failure is Failure.MISSING and entered.scheme != "az":
            continue  # SeaweedFS and fake-gcs-server answer so as for a missing object
        assert error.failure is Failure.NO_BUCKET, error
        assert "`no-such-bucket-here`" in error.message


def test_a_state_that_has_gone(entered: BucketUrl) -> None:
    url = entered.child("a")
    create(url, b"hello")
    other = Remote(size=5, etag='"00000000000000000000000000000000"')
    assert error_of(lambda: fetch(url, [(0, 5)], other)).failure is Failure.CHANGED


def test_wrong_keys_of_s3(s3: Bucket, enter: Enter, monkeypatch: pytest.MonkeyPatch) -> None:
    url = parse_bucket_url(enter(s3).url).child("a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong-secret")
    forget_clients()
    error = error_of(lambda: head(url))
    assert error.failure is Failure.DENIED
    assert "the secret of access key" in error.message
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
    forget_clients()
    error = error_of(lambda: read(url))
    assert "does not know access key `...MPLE`" in error.message
    forget_clients()


def test_a_wrong_key_of_azure(az: Bucket, enter: Enter, monkeypatch: pytest.MonkeyPatch) -> None:
    url = parse_bucket_url(enter(az).url).child("a")
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", OTHER_KEY)
    forget_clients()
    error = error_of(lambda: head(url))
    assert error.failure is Failure.DENIED
    assert "account `devstoreaccount1` does not let the key of account" in error.message
    forget_clients()
