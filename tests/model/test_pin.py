"""States of objects on servers: which are one, what they are called, and which cannot be pinned."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import asdict, replace

from geobatch.model.sources.moment import parse_moment
from geobatch.model.sources.pin import Pin, Remote

TIME = "Sat, 01 Jan 2000 00:00:00 GMT"
LATER = "Sat, 01 Jan 2000 00:00:01 GMT"


def remote(version: str = "", etag: str = "", modified: str = "", size: int = 9) -> Remote:
    return Remote(size=size, version=version, etag=etag, modified=modified)


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        (remote("1"), remote("1"), True),
        (remote("1"), remote("2"), False),
        (remote("1"), remote(), False),
        (remote("1", '"a"', TIME), remote("1", '"b"', LATER), True),
        (remote("1", '"a"'), remote("2", '"a"'), False),
        (remote("1"), remote("1", size=8), False),
        (remote("1", '"a"', TIME), remote("", '"a"', TIME), True),
        (remote("1", '"a"', TIME), remote("", '"b"', TIME), False),
        (remote("1", 'W/"a"', TIME), remote("", 'W/"a"', TIME), False),
        (remote("", '"a"', TIME), remote("", '"a"', LATER), True),
        (remote("", '"a"'), remote("", '"b"'), False),
        (remote("", '"a"'), remote("", 'W/"a"'), False),
        (remote("", '"a"'), remote(""), False),
        (remote("", '"a"'), remote("", '"a"', size=8), False),
        (remote("", 'W/"a"', TIME), remote("", 'W/"a"', TIME), True),
        (remote("", 'W/"a"', TIME), remote("", 'W/"a"', LATER), False),
        (remote("", 'W/"a"', TIME), remote("", 'W/"b"', TIME), False),
        (remote("", 'w/"a"', TIME), remote("", 'w/"a"', LATER), False),
        (remote("", '""', TIME), remote("", '""', LATER), False),
        (remote("", "", TIME), remote("", "", TIME), True),
        (remote("", "", TIME), remote("", "", LATER), False),
        (remote("", "", TIME), remote("", ""), False),
        (remote(), remote(), True),
        (remote(), remote(size=8), False),
    ],
)
def test_which_answers_are_of_one_state(one: Remote, other: Remote, is_same: bool) -> None:
    assert one.is_same(other) is is_same
    assert other.is_same(one) is is_same


@pytest.mark.parametrize(
    ("state", "name", "lacks"),
    [
        (remote("17", '"a"', TIME), "17", None),
        (remote("17"), "17", None),
        (remote("", '"a"', TIME), "a", None),
        (remote("", '"a"'), "a", None),
        (remote("", "unquoted"), "unquoted", None),
        (remote("", 'W/"a"', TIME), f"a, {TIME}, 9 bytes", None),
        (remote("", "", TIME), f"{TIME}, 9 bytes", None),
        (remote("", 'W/"a"'), "a, undated, 9 bytes", "is weak"),
        (remote("", 'w/"a"'), "a, undated, 9 bytes", "is weak"),
        (remote("", 'W/"a"', "now"), "a, now, 9 bytes", "`now`, is not a valid time"),
        (remote("", "", "now"), "now, 9 bytes", "`now`, is not a valid time"),
        (remote("", '""'), "undated, 9 bytes", "neither"),
        (remote(), "undated, 9 bytes", "neither"),
    ],
)
def test_names_and_what_is_missing(state: Remote, name: str, lacks: str | None) -> None:
    assert state.generation == name
    assert (state.lacks is None) is (lacks is None)
    assert lacks is None or lacks in (state.lacks or "")


TAGS = st.sampled_from(["", '""', '"a"', '"b"', 'W/"a"', 'W/"b"', 'w/"a"', "a"])
STATES = st.builds(
    remote,
    version=st.sampled_from(["", "1", "2"]), etag=TAGS,
    modified=st.sampled_from(["", TIME, LATER, "now"]), size=st.integers(0, 2),
)  # fmt: skip


@given(STATES, STATES)
def test_states_that_differ_have_names_or_sizes_that_differ(one: Remote, other: Remote) -> None:
    """What a document knows of a state, its name and its size, tells it from every other.

    Strong and weak tags of the same letters are not mixed by one server.
    """
    assert one.is_same(one)
    is_one_kind = (one.etag[:1] == other.etag[:1]) and bool(one.version) == bool(other.version)
    if is_one_kind and one.size == other.size and one.generation != other.generation:
        assert not one.is_same(other)
    if is_one_kind and not one.is_same(other):
        assert one.identity("u") != other.identity("u")
    assert one.is_same(other) is other.is_same(one)


@given(STATES, STATES)
def test_a_list_and_a_head_of_a_bucket_give_one_identity(one: Remote, other: Remote) -> None:
    """A list has no versions; states of one kind that differ in their tags differ in identity."""
    listed = replace(one, version="")
    if not listed.is_timed:
        assert listed.object_identity("gs://b/k") == one.object_identity("gs://b/k")
        assert listed.is_same(one)
    is_tagged = not (listed.is_timed or replace(other, version="").is_timed)
    if is_tagged and (one.size, one.tag) != (other.size, other.tag):
        assert one.object_identity("s3://b/k") != other.object_identity("s3://b/k")


@pytest.mark.parametrize(
    "text",
    [
        "Sat, 01 Jan 2000 00:00:00 GMT", "Saturday, 01-Jan-00 00:00:00 GMT",
        "Sat, 01 Jan 2000 00:00:00 -0000", "Sat, 01 Jan 2000 01:00:00 +0100",
    ],
)  # fmt: skip
def test_moments_that_servers_write(text: str) -> None:
    assert parse_moment(text) == datetime(2000, 1, 1, tzinfo=UTC)


@given(
    st.one_of(
        st.text(),
        st.from_regex(
            r"\A[A-Z][a-z]{2}, [0-9]{1,6} (Jan|Feb|\w{3}) [0-9]{1,20} [0-9:]{1,12} \S{0,9}"
        ),
        st.builds("Sat, 01 Jan 2000 00:00:00 +{}".format, st.integers(0, 10**12)),
        st.builds("Sat, {} Jan 2000".format, st.just("9" * 5000)),
    )
)
def test_any_text_is_a_moment_or_none(text: str) -> None:
    found = parse_moment(text)
    if found is not None:
        # It can be compared with the time of any other machine.
        assert (datetime.now(UTC) - found).total_seconds() is not None


def test_a_version_that_s3_calls_null_is_none() -> None:
    """Stores keep it as a version; what is overwritten keeps the version, so the tag counts."""
    value: dict[str, Any] = {
        "generation": "null", "location": "http://h/x", "header_bytes": 9, "overviews": [],
        "is_interleaved": False, "remote": asdict(remote("null", '"a"', TIME)),
    }  # fmt: skip
    found = Pin.from_json(value).remote
    assert found == remote("", '"a"', TIME)
