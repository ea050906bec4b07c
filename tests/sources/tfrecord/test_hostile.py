"""No TFRecord file ends the process, whatever lengths stand in it; errors say where."""

from __future__ import annotations

import gzip
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator

import hostile_records
import numpy as np
import pytest
from depth import examples
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from record_workbench import example, feature

PACKINGS: dict[str, Callable[[bytes], bytes]] = {
    "plain": bytes,
    "GZIP": lambda data: gzip.compress(data, mtime=0),
    "ZLIB": zlib.compress,
}
GOOD = example(
    {
        "a": feature(np.arange(4), "float_list"),
        "b": feature(np.arange(4), "int64_list"),
        "c": feature(np.arange(4, dtype=np.uint8), "bytes_list"),
    }
)

Ask = Callable[[bytes], str]


@pytest.fixture(scope="module")
def ask(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ask]:
    """Give a file to a process that reads it, and return what that says; it must live on."""
    path = tmp_path_factory.mktemp("hostile") / "s"
    with subprocess.Popen(
        [sys.executable, hostile_records.__file__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None

        def answer(data: bytes) -> str:
            assert process.stdin is not None
            assert process.stdout is not None
            path.write_bytes(data)
            process.stdin.write(f"{path}\n")
            process.stdin.flush()
            said = process.stdout.readline()
            assert said, f"the process ended with {process.wait(10)}"
            return said.strip()

        yield answer
        process.stdin.close()
        assert process.wait(30) == 0


def test_a_good_file_is_read(ask: Ask) -> None:
    for pack in PACKINGS.values():
        assert ask(pack(hostile_records.frame(GOOD) * 3)) == "ok | ok | ok"


@pytest.mark.parametrize("packing", PACKINGS)
@pytest.mark.parametrize(
    "length", [2**35, 2**31 - 1, 2**31, 2**40, 2**63, 2**64 - 5, 2**64 - 1, 281, 10_000]
)
def test_a_length_beyond_the_file(ask: Ask, packing: str, length: int) -> None:
    record = bytes(280)
    said = ask(PACKINGS[packing](hostile_records.frame(record, length=length))).split(" | ")
    for part in said:
        assert part.startswith("`s`: record 0 cannot be read: its length at offset 0 is ")
        assert f" {length} bytes, expected at most " in part
    if packing == "plain":
        assert "expected at most 280:" in said[0]
    second = hostile_records.frame(GOOD) + hostile_records.frame(b"", length=length)
    for part in ask(PACKINGS[packing](second)).split(" | ")[1:]:
        assert f"record 1 cannot be read: its length at offset {len(GOOD) + 16} is" in part


def test_a_bomb_is_bounded_by_the_longest_record(ask: Ask) -> None:
    """Sixteen MB that inflate to 16 GB of a record that says that it has them."""
    start = hostile_records.frame(b"", length=1 << 34)[:12]
    member = zlib.compressobj(9, wbits=31)
    data = member.compress(start) + member.compress(bytes(1 << 20)) + member.flush()
    assert "expected at most" in ask(data).split(" | ")[0]


MUTATIONS = st.lists(
    st.tuples(
        st.sampled_from(["flip", "cut", "put", "huge"]),
        st.integers(0, len(GOOD) - 1),
        st.integers(0, 255),
    ),
    min_size=1,
    max_size=4,
)
VARINTS = (b"\xff" * 9 + b"\x01", b"\xff\xff\xff\xff\x07", b"\xff\xff\xff\xff\x0f", b"\x80" * 12)


@settings(
    max_examples=examples(83, 250),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(mutations=MUTATIONS, packing=st.sampled_from(sorted(PACKINGS)), is_framed=st.booleans())
def test_nothing_ends_the_process(
    ask: Ask, mutations: list[tuple[str, int, int]], packing: str, is_framed: bool
) -> None:
    """Damage within messages whose checksums hold: nested lengths, tags, cuts; or to the frames."""
    data = bytearray(GOOD if is_framed else hostile_records.frame(GOOD) * 2)
    for kind, place, value in mutations:
        at = place % max(len(data), 1)
        if kind == "flip" and data:
            data[at] ^= 1 << value % 8
        elif kind == "cut":
            del data[at:]
        elif kind == "put":
            data[at:at] = bytes([value])
        else:
            data[at : at + 1] = VARINTS[value % len(VARINTS)]
    whole = hostile_records.frame(bytes(data)) if is_framed else bytes(data)
    said = ask(PACKINGS[packing](whole)).split(" | ")
    assert len(said) == 3
    assert all(part == "ok" or "`s`: " in part for part in said)
