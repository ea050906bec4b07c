"""Whether a bucket can be used: by whom, where it is, how long a request takes, what was proved."""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import islice

from geobatch.buckets.client import access_of
from geobatch.buckets.conditions import is_proved, service_of
from geobatch.buckets.errors import BucketError
from geobatch.buckets.objects import list_objects
from geobatch.buckets.url import BucketUrl
from geobatch.errors import GeobatchError, SettingError
from geobatch.workflow.maintenance.diagnosis import Diagnosis, Health

_SLOW = 0.2
"""Seconds of a request from which on many small requests take long."""
_TRIES = 3


def examine_bucket(prefix: BucketUrl) -> Iterator[Diagnosis]:
    """Yield what is found of a bucket, until something fails; nothing is written.

    Args:
        prefix: Bucket, and prefix of a store that may not be there.
    """
    try:
        access = access_of(prefix)
    except (BucketError, SettingError) as error:
        yield _failed("credentials", error)
        return
    hint = "requests are not signed: nothing can be written" if access.is_anonymous else ""
    yield _item("credentials", f"{access.who}, from {access.way}", hint)
    yield _item("service", service_of(prefix), _plain_hint(access.endpoint))
    if access.region:
        yield _item("region", access.region)
    try:
        seconds = min(_timed(prefix) for _ in range(_TRIES))
    except BucketError as error:
        yield _failed("requests", error)
        return
    is_slow = seconds > _SLOW
    hint = "run geobatch in the region of the bucket: it sends many small requests"
    yield _item("latency", f"{seconds * 1000:.0f} ms for a list", hint if is_slow else "")
    try:
        found = "honoured: the store proved it" if is_proved(prefix) else "not tried yet"
    except BucketError as error:
        yield _failed("conditions", error)
        return
    yield _item("conditions", found)


def _timed(prefix: BucketUrl) -> float:
    begin = time.monotonic()
    folder = prefix.child("refs/main/")
    list(islice(list_objects(folder), 1))
    return time.monotonic() - begin


def _plain_hint(endpoint: str) -> str:
    is_plain = endpoint.startswith("http://") and "//127.0.0.1" not in endpoint
    return "bytes are sent without encryption: use `https://` if it has a certificate" * is_plain


def _item(name: str, found: str, hint: str = "") -> Diagnosis:
    health = Health.NOTE if hint else Health.OK
    return Diagnosis(group="bucket", name=name, health=health, found=found, hint=hint)


def _failed(name: str, error: GeobatchError) -> Diagnosis:
    return Diagnosis(
        group="bucket",
        name=name,
        health=Health.FAIL,
        found=error.message,
        hint=error.hint or "",
    )
