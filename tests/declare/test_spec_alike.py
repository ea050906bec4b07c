"""Documents that are told from one before them are what they would be alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from depth import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from geobatch.declare import load
from geobatch.declare.fields.keys import Shape
from geobatch.declare.loading.load import drafts
from geobatch.errors import SpecError

FORMS = [
    """\
id: ID
tilesets: [{sources: [{uris: [URI]}]}]
start_time: TIME
properties: {a: VALUE, b: 2}
""",
    """\
kind: image
properties:
  b: VALUE
  a: VALUE
id: ID
start_time: TIME
end_time: TIME
tilesets:
- id: x
  sources:
  - uris:
    - URI
  - uris: [URI]
    dimensions: {width: 4, height: 5}
- {id: y, crs: URI, sources: [{uris: [URI]}]}
bands: [{id: b, tileset_id: x}, {id: c, tileset_id: y}]
memo: TEXT
""",
    """\
ID2
tilesets: [{id: '', sources: [{uris: [URI]}]}]
startTime: {seconds: 5}
bands: [{id: TEXT}]
""",
]
VALUES = {
    "ID2": [
        "id: a", "name: projects/p/assets/n", "name: a", "id: a\nid: b", "kind: table", "id: 5",
    ],
    "ID": [
        "a", "b/c", "'d'", "a b", "5", "''", "null", "&x e", "!!str f", "[g]", "a # why", "|\n  h",
    ],
    "URI": ["u.tif", "'u v.tif'", '"w.tif"', "5", "''", "x,", "'%3Fx'", "*"],
    "TIME": [
        "2025-01-01", "2024-01-01", "'2026-01-01T00:00:00.5Z'", "soon", "2025-13-01", "null",
    ],
    "VALUE": [
        "1", "'1'", "text", "1.5", "-0", "true", ".nan", "null", "''", "1e999", "[1]", "9" * 30,
    ],
    "TEXT": ["t", "s", "'t'", "5", "é ☃", '"\\x41"'],
}  # fmt: skip


@st.composite
def documents(draw: st.DrawFn) -> str:
    """Draw a document, of a few outlines, whose values are mostly well."""
    text = draw(st.sampled_from(FORMS))
    for word, values in VALUES.items():
        while word in text:
            well = draw(st.integers(0, 9)) < 8
            text = text.replace(word, draw(st.sampled_from(values[:3] if well else values)), 1)
    return text


@settings(max_examples=examples(50, 150))
@given(texts=st.lists(documents(), min_size=2, max_size=8))
def test_together_is_as_alone(texts: list[str], tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("alike")
    paths = [folder / f"{number}.yaml" for number in range(len(texts))]
    for path, text in zip(paths, texts, strict=True):
        path.write_text(text)
    alone = [drafts([path]) for path in paths]
    specs, problems, _ = drafts(paths)
    expected = [spec for found, _, _ in alone for spec in found]
    # `repr` tells 1 from 1.0 and -0 from 0; places are not compared by `==`.
    assert [repr(spec) for spec in specs] == [repr(spec) for spec in expected]
    assert [spec.positions for spec in specs] == [spec.positions for spec in expected]
    between = {"duplicate-asset", "asset-in-asset"}
    wrong = [problem for _, found, _ in alone for problem in found]
    assert sorted(one for one in problems if one.rule not in between) == sorted(wrong)


def test_of_many_documents_one_is_judged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    judged = 0
    shape_of = Shape.of

    def counted(*args: Any, **named: Any) -> Any:
        nonlocal judged
        judged += 1
        return shape_of(*args, **named)

    monkeypatch.setattr(Shape, "of", counted)
    each = [
        {
            "id": f"a/{number}",
            "tilesets": [{"sources": [{"uris": [f"{number}.tif"]}]}],
            "properties": {"n": number * 1.5, "t": f"x{number}"},
        }
        for number in range(500)
    ]
    (tmp_path / "all.yaml").write_text("---\n".join(yaml.safe_dump(one) for one in each))
    specs = load([tmp_path]).specs
    assert judged == 1
    assert {dict(spec.properties)["n"] for spec in specs} == {n * 1.5 for n in range(500)}
    lines = {spec.where("properties", "n")[1] for spec in specs}
    assert lines == {3 + 9 * n for n in range(500)}


def test_a_long_document_between_short_ones(tmp_path: Path) -> None:
    short = "id: {}\ntilesets: [{{sources: [{{uris: [x.tif]}}]}}]\n"
    bands = ", ".join(f"{{id: b{number}}}" for number in range(400))
    long = short.format("long") + f"bands: [{bands}]\n"
    (tmp_path / "a.yaml").write_text("---\n".join([short.format("a"), long, short.format("b")]))
    assert [(spec.id, len(spec.bands or ())) for spec in load([tmp_path]).images] == [
        ("a", 0), ("b", 0), ("long", 400)
    ]  # fmt: skip


def test_what_precedes_a_syntax_error_is_still_judged(tmp_path: Path) -> None:
    text = "id: a\nid: b\ntilesets: [{sources: [{uris: [x]}], sources: 5}]\nmemo: [\n"
    (tmp_path / "a.yaml").write_text(text)
    with pytest.raises(SpecError) as caught:
        load([tmp_path])
    assert [(one.rule, one.line) for one in caught.value.problems] == [
        ("duplicate-key", 3), ("yaml-syntax", 5)
    ]  # fmt: skip
