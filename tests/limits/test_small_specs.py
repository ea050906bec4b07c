"""Small specs that ask for much end soon: walks, comparisons, merges and problems are bounded."""

from __future__ import annotations

import glob
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from depth import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from geobatch.declare.files.find import matches
from geobatch.declare.files.uris import validate
from geobatch.declare.projects.project import Location
from geobatch.errors import Problem, SpecError
from geobatch.model.limits import GLOB_ENTRIES, SPEC_BYTES, SPEC_PROBLEMS, SPEC_VALUES

TILESETS = "tilesets: [{id: t, sources: [{uris: [a.tif]}]}]\n"


def listed(text: str, count: int, joint: str = ", ") -> str:
    return joint.join(text.replace("#", str(number)) for number in range(count))


def bands(count: int) -> str:
    return f"id: a\n{TILESETS}bands: [{listed('{id: band#, tileset_id: t}', count)}]\n"


GROWING: dict[str, Callable[[int], str]] = {
    "masks of unknown bands": lambda n: (
        f"{bands(n)}mask_bands: [{{tileset_id: t, band_ids: [{listed('bnd#x', n)}]}}]\n"
    ),
    "arrays of unknown bands": lambda n: f"{bands(n)}array_bands: {{v: [{listed('bnd#x', n)}]}}\n",
    "long arrays": lambda n: f"{bands(n)}array_bands: {{v: [{listed('band#', n)}]}}\n",
    "masks of every band": lambda n: f"{bands(n)}mask_bands: [{listed('{tileset_id: t}', n)}]\n",
    "tilesets": lambda n: (
        f"id: a\ntilesets: [{listed('{id: t#, sources: [{uris: [a.tif]}]}', n)}]\n"
        f"bands: [{listed('{id: b#, tileset_id: t#}', n)}]\n"
    ),
    "unknown tilesets": lambda n: (
        f"id: a\ntilesets: [{listed('{id: t#, sources: [{uris: [a.tif]}]}', n)}]\n"
        f"bands: [{listed('{id: b#, tileset_id: x#}', n)}]\n"
    ),
    "missing tilesets": lambda n: (
        f"id: a\ntilesets: [{listed('{id: t#, sources: [{uris: [a.tif]}]}', n)}]\n"
        f"bands: [{listed('{id: b#}', n)}]\n"
    ),
    "uris": lambda n: f"id: a\ntilesets: [{{sources: [{{uris: [{listed('q#.tif', n)}]}}]}}]\n",
    "mixers": lambda n: f"id: a\ntilesets: [{{sources: [{{uris: [{listed('a.json', n)}]}}]}}]\n",
    "keys": lambda n: f"id: a\n{TILESETS}" + listed("bandz#: 1\n", n, ""),
    "documents": lambda n: "a: 1\n---\n" * n,
    "claims": lambda n: listed(f"id: a#\nmoved_from: b\n{TILESETS}---\n", n, ""),
    "prefixes": lambda n: listed(f"id: a/b#\n{TILESETS}---\n", n, "") + f"id: a\n{TILESETS}",
    "merges": lambda n: f"a: &a {{{listed('k#: 1', n)}}}\nb: [{listed('{<<: *a}', n)}]\n",
}


@pytest.mark.parametrize("kind", GROWING)
def test_work_grows_like_the_spec(tmp_path: Path, kind: str, is_long: bool) -> None:
    """Calls of functions are counted: four times the spec may take at most six times as many."""
    (tmp_path / "a.tif").touch()
    (tmp_path / "a.json").touch()
    path = tmp_path / "s.yaml"

    def calls(count: int) -> int:
        path.write_text(GROWING[kind](count))
        made = 0

        def note(*_: object) -> None:
            nonlocal made
            made += 1

        sys.setprofile(note)
        try:
            with suppress(SpecError):
                validate([path])
        finally:
            sys.setprofile(None)
        return made

    few = 1000 if is_long else 250
    calls(8)  # what is imported and cached
    assert calls(4 * few) < 6 * calls(few)


def problems_of(path: Path) -> tuple[Problem, ...]:
    with pytest.raises(SpecError) as caught:
        validate([path])
    return caught.value.problems


def test_problems_end_with_a_note(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SPEC_PROBLEMS.variable, "20")
    (tmp_path / "s.yaml").write_text("a: 1\n---\n" * 500)
    found = problems_of(tmp_path / "s.yaml")
    assert len(found) == 21
    (note,) = (one for one in found if "more than 20 problems; the rest was not" in one.message)
    assert "`GEOBATCH_MAX_SPEC_PROBLEMS=200`" in str(note.hint)


def test_values_are_counted_before_they_are_kept(tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text(f"x: [{'1,' * (SPEC_VALUES.value + 5)}]\n")
    (problem,) = problems_of(tmp_path / "s.yaml")
    assert (problem.rule, problem.line) == ("too-large", 1)
    assert f"at most {SPEC_VALUES.value:,} values" in problem.message


def test_a_document_is_refused_by_its_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SPEC_BYTES.variable, "100")
    (tmp_path / "s.yaml").write_text(f"id: a\n{TILESETS}memo: {'x' * 100}\n")
    assert "at most 100 bytes" in problems_of(tmp_path / "s.yaml")[0].message
    (tmp_path / "s.yaml").write_text(f"id: a\n{TILESETS}")
    (tmp_path / "geobatch.yaml").write_text(f"silence: [{'cog,' * 100}]\n")
    assert "at most 100 bytes" in problems_of(tmp_path / "s.yaml")[0].message


@pytest.mark.parametrize("pattern", [r"(?:a|a)*\.png", r"(?:a*)*\.png", "a*" * 30 + r"\.png"])
def test_a_pattern_that_backtracks_is_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pattern: str
) -> None:
    monkeypatch.setenv("GEOBATCH_MAX_PATTERN_SECONDS", "1")
    (tmp_path / f"{'a' * 60}.tif").touch()
    (tmp_path / "s.yaml").write_text(
        f"id: c\nkind: image_collection\nfor_each: {{files: '*.tif', pattern: '{pattern}'}}\n"
        "image: {id: '{stem}'}\n"
    )
    (problem,) = problems_of(tmp_path / "s.yaml")
    assert (problem.rule, problem.line) == ("pattern", 3)
    assert "takes more than 1 s" in problem.message


@pytest.mark.parametrize("name", ["*/*", "**/x.tif", "**", "d/*"])
def test_a_glob_counts_what_it_walks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    (tmp_path / "d").mkdir()
    for number in range(30):
        (tmp_path / "d" / f"{number}.tif").touch()
    monkeypatch.setenv(GLOB_ENTRIES.variable, "20")
    found = matches(Location(name, tmp_path, name))
    assert found.problem is not None
    rule, message, hint = found.problem
    assert rule == "glob-limit"
    assert message.startswith(f"`{name}` would search more than 20 files and folders")
    assert "`GEOBATCH_MAX_GLOB_ENTRIES=200`" in str(hint)


def test_links_in_a_loop_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "up").symlink_to(tmp_path / "a")
    (tmp_path / "a" / "b" / "all").symlink_to("/", target_is_directory=True)
    (tmp_path / "a" / "b" / "x.tif").touch()
    found = matches(Location("**/*.tif", tmp_path, "**/*.tif"))
    assert found.files == ["a/b/x.tif"]


PARTS = st.sampled_from(
    ["*", "**", "a", "b*", "[ab]", "?", ".h", ".*", "x.tif", "*.tif", "..", "."]
)


@settings(max_examples=examples(60, 600), deadline=None)
@given(parts=st.lists(PARTS, min_size=1, max_size=4))
def test_globs_match_as_those_of_python(
    tmp_path_factory: pytest.TempPathFactory, parts: list[str]
) -> None:
    root = tmp_path_factory.getbasetemp() / "globs"
    if not root.exists():
        for folder in ("a/b/a", "b", ".h/a", "a/.h", "bb"):
            (root / folder).mkdir(parents=True, exist_ok=True)
            for name in ("x.tif", "a.tif", ".x.tif", "b"):
                if not (root / folder / name).exists():
                    (root / folder / name).touch()
    name = "/".join(parts)
    found = glob.glob(name, root_dir=root, recursive=True)  # noqa: PTH207 - the oracle
    wanted = {one for one in found if (root / one).is_file()}
    assert set(matches(Location(name, root, name)).files) == wanted
