"""`moved_from` as it is written: what it takes, and what two specs may not both say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from geobatch.declare import load
from geobatch.errors import Problem, SpecError

SOURCES = "tilesets: [{sources: [{uris: [a.tif]}]}]\n"


def problems(folder: Path, text: str) -> tuple[Problem, ...]:
    (folder / "a.yaml").write_text(text)
    with pytest.raises(SpecError) as caught:
        load([folder / "a.yaml"])
    return caught.value.problems


def test_the_former_id_is_kept_in_either_spelling(tmp_path: Path) -> None:
    manifest = {"id": "x/new", "movedFrom": "x/old", "tilesets": [{"sources": [{"uris": ["a"]}]}]}
    (tmp_path / "a.json").write_text(json.dumps(manifest))
    (tmp_path / "b.yaml").write_text(f"id: y/new\nmoved_from: y/old\n{SOURCES}")
    assert load([tmp_path]).claims == {"x/new": "x/old", "y/new": "y/old"}


@pytest.mark.parametrize(
    ("text", "at", "words"),
    [
        (f"id: a\nmoved_from: a\n{SOURCES}", (2, 13), "own id"),
        (f"id: a\nmoved_from: b c\n{SOURCES}", (2, 13), "not a valid asset id"),
        (f"id: a\nmoved_from: 3\n{SOURCES}", (2, 13), "expected text"),
        (f"id: a\nmoved_from: b\n{SOURCES}---\nid: b\n{SOURCES}", (2, 13), "declared too"),
        # A chain in one edit: who is `b` now is asked of the store, and would be answered twice.
        (
            f"id: b\nmoved_from: a\n{SOURCES}---\nid: c\nmoved_from: b\n{SOURCES}",
            (6, 13),
            "declared too",
        ),
        (
            f"id: a\nmoved_from: c\n{SOURCES}---\nid: b\nmoved_from: c\n{SOURCES}",
            (6, 13),
            "claimed twice: by `a` and `b`",
        ),
    ],
)
def test_a_former_id_that_cannot_be(
    tmp_path: Path, text: str, at: tuple[int, int], words: str
) -> None:
    (problem,) = problems(tmp_path, text)
    assert (problem.line, problem.column) == at
    assert words in problem.message


def test_images_of_a_collection_have_former_ids_of_their_own(tmp_path: Path) -> None:
    for name in ("p.tif", "q.tif"):
        (tmp_path / name).touch()
    text = (
        "kind: image_collection\nid: new\nfor_each: {files: '*.tif'}\n"
        "image:\n  id: '{stem}'\n  moved_from: OLD\n"
    )
    (tmp_path / "a.yaml").write_text(text.replace("OLD", "'old/{stem}'"))
    assert load([tmp_path / "a.yaml"]).claims == {"new/p": "old/p", "new/q": "old/q"}
    (problem,) = problems(tmp_path, text.replace("OLD", "old/p"))
    assert "claimed twice: by `new/p` and `new/q`" in problem.message
    assert problem.line == 6
    assert any(
        "not a valid asset id" in one.message
        for one in problems(tmp_path, text.replace("OLD", "'{name}'"))
    )


def test_alike_documents_have_former_ids_of_their_own(tmp_path: Path) -> None:
    """All but the first are compared with it instead of being judged."""
    names = [f"n{number}" for number in range(5)]
    texts = [f"id: {name}\nmoved_from: old/{name}\n{SOURCES}" for name in names]
    (tmp_path / "a.yaml").write_text("---\n".join(texts))
    assert load([tmp_path / "a.yaml"]).claims == {name: f"old/{name}" for name in names}
    texts[3] = texts[3].replace("old/n3", "old n3")
    (problem,) = problems(tmp_path, "---\n".join(texts))
    assert (problem.rule, problem.line, problem.column) == ("asset-id", 14, 13)
