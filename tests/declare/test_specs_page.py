"""What docs/specs.md shows is true: its examples load, and declare what it says."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from geobatch.declare import SpecSet, validate
from geobatch.declare.text.canonical import fmt_text

PAGE = (Path(__file__).parents[2] / "docs" / "specs.md").read_text(encoding="utf-8")
BLOCKS: list[tuple[str, str]] = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
EXAMPLES = [text for language, text in BLOCKS if language == "yaml"]


def block(language: str) -> str:
    (found,) = [text for kind, text in BLOCKS if kind == language]
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in block("text").split():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "meta.csv").write_text(block("csv"))
    return tmp_path


def specs(folder: Path, text: str) -> SpecSet:
    (folder / "a.yaml").write_text(text)
    return validate([folder / "a.yaml"])


@pytest.mark.parametrize("text", EXAMPLES)
def test_examples_are_valid_and_in_canonical_form(folder: Path, text: str) -> None:
    assert specs(folder, text).specs
    assert fmt_text(text, path="a.yaml") == text


def test_the_collection_declares_what_the_page_says(folder: Path) -> None:
    (rule,) = [text for text in EXAMPLES if "meta.csv" in text]
    found = {
        spec.id: {"start_time": spec.start_time, "properties": dict(spec.properties)}
        for spec in specs(folder, rule).specs
    }
    assert found == json.loads(block("json"))


def test_every_image_with_its_mask(folder: Path) -> None:
    (rule,) = [text for text in EXAMPLES if "_mask.tif" in text]
    for spec in specs(folder, rule).images:
        main, mask = (tileset.sources[0].uris[0] for tileset in spec.tilesets)
        assert mask == main.replace("scenes/", "masks/").replace(".tif", "_mask.tif")
        assert spec.mask_bands[0].tileset_id == "mask"
