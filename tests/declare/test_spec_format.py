"""The canonical form: the same meaning, every comment, and a fixed point."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from geobatch.declare import load
from geobatch.declare.text.canonical import fmt_text
from geobatch.errors import SpecError

MESSY = """\
# yaml-language-server: $schema=../schema/geobatch.v1.json
# about id
id: landcover/eu_2025   # the id
kind: image

# Where from
tilesets:
    -   sources:   # srcs
        - uris: [data/lc_*.tif]      # a glob expands
        - {uris: [b.tif], # why
           affineTransform: {scaleY: -1, scaleX: 1.0}}
          # below the second
        id: main
bands:
  # the only
  - {tileset_id: main, id: class, tilesetBandIndex: 0, pyramidingPolicy: MODE}
  # - {id: left out}


startTime: 2025-01-01
properties: {version: "1.1", 'provider': field-survey, fooBar: 1, foo_bar: "a # b"}
memo: >-  # folded
     hello
       # not a comment
     there

end_time: '2026-01-01'
# the end
"""
NEAT = """\
# yaml-language-server: $schema=../schema/geobatch.v1.json
kind: image
# about id
id: landcover/eu_2025  # the id

# Where from
tilesets:
  - id: main
    sources:  # srcs
      - uris: [data/lc_*.tif]  # a glob expands
      - uris: [b.tif]  # why
        affine_transform: {scale_x: 1.0, scale_y: -1}
      # below the second
bands:
  # the only
  - {id: class, tileset_id: main, tileset_band_index: 0, pyramiding_policy: MODE}
  # - {id: left out}

start_time: 2025-01-01
end_time: '2026-01-01'
properties: {version: "1.1", 'provider': field-survey, fooBar: 1, foo_bar: "a # b"}
memo: >-  # folded
  hello
    # not a comment
  there
# the end
"""


def test_a_messy_file_becomes_neat() -> None:
    assert fmt_text(MESSY, path="a.yaml") == NEAT
    assert fmt_text(NEAT, path="a.yaml") == NEAT


def test_documents_keep_their_comments() -> None:
    text = "# one\n\nkind: image\nid: a\n# after a\n---\n# two\nid: b\nkind: image\n"
    assert fmt_text(text, path="a.yaml") == (
        "# one\n\nkind: image\nid: a\n# after a\n---\nkind: image\n# two\nid: b\n"
    )


@pytest.mark.parametrize(
    ("text", "neat"),
    [
        ('memo: "0 # \n  0"   # x\nid: a\n', 'id: a\nmemo: "0 # 0"  # x\n'),
        ("memo: '#'\nid: a#b # '\n", "id: a#b  # '\nmemo: '#'\n"),
        ("memo: \xa0\nid: a\n", "id: a\nmemo: \xa0\n"),
        ("memo: |2\n    x\nid: a\n", 'id: a\nmemo: "  x\\n"\n'),
        ("memo: !!str 5\nid: a\n", 'id: a\nmemo: "5"\n'),
        ("bands:\n- id: b\n# c\n-  id: d\nid: a\n", "id: a\nbands:\n  - id: b\n  # c\n  - id: d\n"),
    ],
)
def test_what_is_easily_mistaken(text: str, neat: str) -> None:
    assert fmt_text(text, path="a.yaml") == neat
    assert fmt_text(neat, path="a.yaml") == neat


def test_json_is_printed() -> None:
    text = '{"tilesets":[{"sources":[{"uris":["a"]}],"dataType":"INT8"}],\n"id":"q","n":1e5}'
    assert fmt_text(text, path="a.json") == (
        '{\n  "id": "q",\n  "tilesets": [\n    {\n      "data_type": "INT8",\n      "sources": [\n'
        '        {\n          "uris": ["a"]\n        }\n      ]\n    }\n  ],\n  "n": 1e5\n}\n'
    )


def test_anchors_stay_as_written() -> None:
    text = "tilesets: &t [{id: x}]\nid:   a\nbands: *t\n"
    assert fmt_text(text, path="a.yaml") == text


@pytest.mark.parametrize("text", ["a: [", "id: 1\nid: 2\n", "", "uri_prefix: a\nuriPrefix: b\n"])
def test_what_cannot_be_formatted(text: str) -> None:
    with pytest.raises(SpecError):
        fmt_text(text, path="a.yaml")


ORDER = ["id", "uri_prefix", "tilesets", "bands", "missing_data", "properties", "memo"]
WORDS = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), max_size=20)
NOTES = st.text("abc #:-'\"[]{}", max_size=8)


@st.composite
def specs(draw: st.DrawFn) -> str:
    """A valid spec, its keys in any order and spelling, with remarks strewn in."""
    rows = {
        "id": "a/b",
        draw(st.sampled_from(["uri_prefix", "uriPrefix"])): draw(WORDS),
        "tilesets": [
            {
                draw(st.sampled_from(["data_type", "dataType"])): "int8",
                "sources": [
                    {"uris": [draw(WORDS.filter(bool))]} for _ in range(draw(st.integers(1, 3)))
                ],
                "id": draw(WORDS),
            }
        ],
        "properties": draw(
            st.dictionaries(
                st.sampled_from(["aB", "a_b", "n", "no", "1"]), WORDS | st.integers(-9, 9)
            )
        ),
        "memo": draw(
            st.text(
                st.characters(
                    codec="utf-8", exclude_categories=["Cs", "Cc"], include_characters="\n\t"
                )
            )
        ),
        draw(st.sampled_from(["missing_data", "missingData"])): {"values": [draw(st.floats())]},
        "bands": [{"pyramidingPolicy": "MODE", "id": "b"}, {"tileset_band_index": 1, "id": "c"}],
    }
    keys = draw(st.permutations(list(rows)))
    text = yaml.safe_dump(
        {key: rows[key] for key in keys},
        sort_keys=False,
        allow_unicode=draw(st.booleans()),
        default_flow_style=draw(st.sampled_from([None, False])),
        indent=draw(st.sampled_from([2, 4])),
        width=draw(st.sampled_from([20, 1000])),
    )
    lines = text.split("\n")
    for _ in range(draw(st.integers(0, 5))):
        at = draw(st.integers(0, len(lines)))
        note = " " * draw(st.integers(0, 6)) + "# " + draw(NOTES)
        if draw(st.booleans()):
            lines.insert(at, draw(st.sampled_from(["", note])))
        elif at < len(lines):
            lines[at] += " " + note
    return "\n".join(lines)


def test_blank_lines_that_come_together_become_one() -> None:
    text = "id: a\nbands:\n\n- pyramiding_policy: MODE\n\n  id: b\ntilesets: [{sources: []}]\n"
    neat = fmt_text(text, path="a.yaml")
    assert neat.index("tilesets") < neat.index("bands:\n\n  - id: b\n")
    assert fmt_text(neat, path="a.yaml") == neat


@settings(max_examples=100, deadline=None)
@given(text=specs())
def test_formatting_changes_no_meaning(text: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.getbasetemp()
    try:
        before = _load(folder, text)
    except SpecError:
        return  # a remark landed where it broke the YAML: nothing to format
    neat = fmt_text(text, path="a.yaml")
    assert _load(folder, neat) == before
    assert fmt_text(neat, path="a.yaml") == neat
    # It was truly formatted, not handed back as too hard.
    keys = [line.split(":")[0] for line in neat.splitlines() if line[:1].isalpha()]
    assert keys == [key for key in ORDER if key in keys]


def _load(folder: Path, text: str) -> str:
    file = folder / "formatted.yaml"
    file.write_text(text, encoding="utf-8", newline="")
    return repr(load([file]))
