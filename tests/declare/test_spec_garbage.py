"""Whatever a spec file holds: a SpecSet, or a SpecError with places inside the file."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from geobatch.declare import SpecSet, validate
from geobatch.declare.text.canonical import fmt_text
from geobatch.errors import Problem, SpecError

VALID = """\
# yaml-language-server: $schema=../schema/geobatch.v1.json
kind: image
id: landcover/eu_2025  # the id

tilesets:
  - id: main
    data_type: UINT8
    sources:
      - uris: [lc_*.tif]  # a glob
        affineTransform: {scale_x: 10, translate_x: 5e5, scale_y: -10}
        dimensions: {width: 3, height: 4}
bands:
  # about the class
  - &b {id: class, tileset_id: main, pyramiding_policy: MODE, missing_data: {values: [255]}}
  - {<<: *b, id: other}
mask_bands: {tileset_id: main, band_ids: [class]}
footprint:
  points: [{x: 0.5, y: 0.5}, {x: 0.5, y: 1.5}, {x: 1.5, y: 1.5}, {x: 0.5, y: 0.5}]
start_time: 2025-01-01
end_time: {seconds: 1893456000}
properties: {version: "1.1", n: 3}
memo: |
  notes
   # none
tiling: {tile: 256}
codec: {name: blosc, level: 5}
grid: {bounds: [0, 1, 20, 31.5]}
lifecycle: {protect: true}
"""

WORDS = [
    "kind", "image", "id", "name", "tilesets", "sources", "uris", "bands", "tileset_id",
    "tilesetId",
    "mask_bands", "band_ids", "missing_data", "values", "pyramiding_policy", "MODE", "footprint",
    "points", "x", "y", "start_time", "seconds", "2025-01-01", "properties", "grid", "bounds",
    "tiling", "tile", "codec", "level", "lifecycle", "protect", "affine_transform", "scale_x",
    "scale_y", "dimensions", "width", "height", "a/b", "*.tif", "gs://x", "/vsimem/x", "", "~",
    "<<", "[", "**", "\0", "\x85", "\u2028", "\U0001f600",
]  # fmt: skip

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats()
    | st.sampled_from(WORDS)
    | st.text(max_size=8)
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(WORDS) | st.text(max_size=5), inner, max_size=5)
    ),
    max_leaves=30,
)
BREAKS = re.compile("\r\n|[\n\r\x85\u2028\u2029]")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("garbage")
    (made / "lc_1.tif").touch()
    return made


def judge(folder: Path, data: bytes, name: str) -> None:
    """Validate the bytes; every place must lie in the file."""
    file = folder / name
    file.write_bytes(data)
    problems: tuple[Problem, ...] = ()
    try:
        assert isinstance(validate([file]), SpecSet)
    except SpecError as error:
        problems = error.problems
        if not problems:
            raise
    lines = BREAKS.split(data.decode(errors="replace"))
    for problem in problems:
        assert problem.path == str(file)
        assert 1 <= problem.line <= len(lines)
        assert 1 <= problem.column <= len(lines[problem.line - 1]) + 1
        assert problem.rule
        assert problem.message
        str(problem).encode()
    text = data.decode(errors="replace")
    try:
        once = fmt_text(text, path=name)
    except SpecError:
        return
    assert fmt_text(once, path=name) == once


def graft(value: Any, path: list[int], new: Any, *, is_key: bool) -> Any:
    """Return a copy with something else at the place that the numbers lead to."""
    if not path or not isinstance(value, dict | list) or not value:
        return new
    place = path[0] % len(value)
    if isinstance(value, list):
        return [graft(v, path[1:], new, is_key=is_key) if i == place else v
                for i, v in enumerate(value)]  # fmt: skip
    rows = list(value.items())
    key, inner = rows[place]
    if is_key and len(path) == 1 and isinstance(new, str):
        rows[place] = (new, inner)
    else:
        rows[place] = (key, graft(inner, path[1:], new, is_key=is_key))
    return dict(rows)


FAST = settings(
    max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@FAST
@given(VALUES)
def test_any_value_as_yaml_and_json(folder: Path, value: Any) -> None:
    text = yaml.safe_dump(value, allow_unicode=True, sort_keys=False)
    judge(folder, text.encode(errors="surrogatepass"), "g.yaml")
    judge(folder, json.dumps(value).encode(), "g.json")


@FAST
@given(st.lists(st.integers(0, 30), max_size=6), VALUES, st.booleans())
def test_a_valid_spec_with_a_part_replaced(
    folder: Path, path: list[int], new: Any, is_key: bool
) -> None:
    changed = graft(yaml.safe_load(VALID), path, new, is_key=is_key)
    judge(folder, yaml.safe_dump(changed, sort_keys=False).encode(), "m.yaml")
    judge(folder, json.dumps(changed, default=str, indent="\t").encode(), "m.json")


@FAST
@given(
    st.integers(0, len(VALID)),
    st.integers(0, 6),
    st.text(alphabet="[]{}:,#&*!|>'\"%@`-? \n\t<abc01.~é\u2028", max_size=4) | st.text(max_size=3),
)
@example(0, 0, "\ufeff")
@example(0, 5, "")
def test_a_valid_spec_with_characters_changed(folder: Path, start: int, cut: int, new: str) -> None:
    changed = VALID[:start] + new + VALID[start + cut :]
    judge(folder, changed.encode(errors="surrogatepass"), "c.yaml")


@FAST
@given(st.binary(max_size=60), st.sampled_from(["b.yaml", "b.json"]))
def test_any_bytes(folder: Path, data: bytes, name: str) -> None:
    judge(folder, data, name)


@pytest.mark.parametrize(
    "make",
    [
        lambda n: "[" * n,
        lambda n: "{a: " * n,
        lambda n: "- " * n,
        lambda n: "? " * n,
        lambda n: "a: &a [" + "*a," * n,
        lambda n: "x: [" + "{a: 1}, " * n + "]",
        lambda n: "".join(f"k{i}: 1\n" for i in range(n // 10)),
        lambda n: "id: a\ntilesets: [{sources: [{uris: [" + "1, " * n + "]}]}]",
    ],
)
def test_long_and_deep(folder: Path, make: Callable[[int], str]) -> None:
    file = folder / "d.yaml"
    file.write_text(make(20_000))
    with pytest.raises(SpecError):
        validate([file])
