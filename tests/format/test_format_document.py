"""docs/format.md is true of the code: its example reads a page, its numbers are the code's."""

from __future__ import annotations

import itertools
import re
from pathlib import Path
from typing import Any

import numpy as np
from blake3 import blake3

from geobatch.model.published import TILE_ENTRY
from geobatch.store.backends.memory import MemoryBackend
from geobatch.store.index import Index
from geobatch.store.objects import Objects

TEXT = (Path(__file__).parents[2] / "docs" / "format.md").read_text()


def example_page() -> tuple[bytes, np.ndarray[Any, Any], str]:
    entries = np.zeros(3, dtype=TILE_ENTRY)
    for at, (row, col) in enumerate([(0, 3), (2, 0), (63, 63)]):
        entries[at] = (row, col, [at + 1] * 32, [at + 101] * 32, at + 1000)
    objects = Objects(MemoryBackend())
    root = Index(objects).write((64, 64), entries=entries)
    assert root is not None
    return objects.get(root.stored), entries, root.content


def test_the_example_reads_a_page() -> None:
    data, entries, _ = example_page()
    (code,) = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    names: dict[str, Any] = {"data": data}
    exec(code, names)
    assert names["rows"].tolist() == entries["row"].tolist()
    assert names["columns"].tolist() == entries["col"].tolist()
    assert np.array_equal(names["content"], entries["content"])
    assert np.array_equal(names["stored"], entries["stored"])
    assert names["sizes"].tolist() == entries["size"].tolist()
    assert names["objects"] == [Objects.path(bytes([at] * 32).hex()) for at in (101, 102, 103)]


def test_the_offset_table_covers_a_page() -> None:
    data, entries, content = example_page()
    n = len(entries)
    fields = re.findall(r"^\| ([\d+ n]+) \| ([\dn ]+) \| (.+?) \|$", TEXT, re.MULTILINE)
    spans = [
        (_number(offset, n), _number(length, n), name.split(",")[0].split(":")[0])
        for offset, length, name in fields
    ]
    assert len(spans) == 10
    for (offset, length, _), (following, _, _) in itertools.pairwise(spans):
        assert offset + length == following
    assert sum(spans[-1][:2]) == len(data) == 528 + 80 * n
    found = {name: data[offset : offset + length] for offset, length, name in spans}
    assert found["magic"] == b"GBIX"
    assert found["bitmap"] == np.packbits(np.isin(np.arange(4096), [3, 128, 4095])).tobytes()
    domain = b"geobatch index page 1\0"
    assert len(domain) == 22
    merkle = domain + found["height"] + found["bitmap"] + found["content digest of each child"]
    assert blake3(merkle).hexdigest() == content


def _number(text: str, n: int) -> int:
    parts = [part.split() for part in text.split("+")]
    return sum(int(part[0]) * (n if part[1:] else 1) for part in parts)
