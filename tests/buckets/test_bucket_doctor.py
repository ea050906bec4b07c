"""`doctor` says by whom and where a bucket is reached, and never a secret."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from service import Answer, Asked, Service
from shell import geobatch

SetEnvironment = Callable[..., None]
LIST = (
    b'<?xml version="1.0"?><ListBucketResult><Name>bkt</Name><KeyCount>0</KeyCount>'
    b"<MaxKeys>1000</MaxKeys><IsTruncated>false</IsTruncated></ListBucketResult>"
)
ABSENT = b"<Error><Code>NoSuchKey</Code><Message>x</Message></Error>"


def rows(*argv: str) -> tuple[int, dict[str, tuple[str, str, str]]]:
    """Return the exit code, and (health, found, hint) by name of what `doctor` says of a bucket."""
    done = geobatch("--store", "s3://bkt/p", "--json", "doctor", *argv)
    assert "hush" not in done.out + done.err
    found = {
        one["name"]: (one["health"], one["found"], one["hint"])
        for one in done.lines
        if one["type"] == "diagnosis" and one["group"] == "bucket"
    }
    return done.code, found


@pytest.fixture
def empty(service: Service, environment: SetEnvironment) -> Service:
    """A bucket without objects."""

    def reply(asked: Asked) -> Answer:
        is_list = "list-type" in asked.path
        return Answer(body=LIST) if is_list else Answer(status=404, body=ABSENT)

    service.reply = reply
    environment(
        AWS_ENDPOINT_URL=service.url, AWS_REGION="eu-x", AWS_ACCESS_KEY_ID="AKIAhushhushABCD",
        AWS_SECRET_ACCESS_KEY="hush-secret", GEOBATCH_BUCKET_RETRIES="0",
    )  # fmt: skip
    return service


def test_a_bucket_without_a_store(empty: Service) -> None:
    code, found = rows()
    assert code == 0
    assert found["credentials"][1] == "access key `...ABCD`, from the environment"
    assert found["service"][1] == empty.url
    assert found["region"][1] == "eu-x"
    assert found["latency"][1].endswith(" ms for a list")
    assert found["conditions"][1] == "not tried yet"
    assert {one.method for one in empty.asked} <= {"GET", "HEAD"}, "nothing is written"


def test_a_bucket_that_may_not_be_listed(empty: Service) -> None:
    denied = Answer(status=403, body=b"<Error><Code>AccessDenied</Code></Error>")
    empty.reply = lambda _: denied
    code, found = rows()
    assert code == 1
    assert list(found) == ["credentials", "service", "region", "requests"]
    health, message, hint = found["requests"]
    assert health == "fail"
    assert "`s3:ListBucket` is missing" in message
    assert hint


def test_nobody(empty: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    code, found = rows()
    assert code == 1
    assert found["credentials"][:2] == ("fail", "no credentials of AWS were found")
    assert empty.asked == []


def test_a_public_bucket(empty: Service, environment: SetEnvironment) -> None:
    environment(GEOBATCH_BUCKET_ANONYMOUS="true")
    code, found = rows()
    assert code == 0
    assert found["credentials"][0] == "note"
    assert "nothing can be written" in found["credentials"][2]
