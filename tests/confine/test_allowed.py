"""What a confined run may read: paths with links, and the entries of `allow`."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from shell import geobatch

from geobatch.declare.files.confined import leaving
from geobatch.declare.projects.allow import allowed, entry_complaint
from geobatch.declare.projects.project import Project
from geobatch.model.sources.allowed import Allowed
from geobatch.model.sources.servers import Servers

FOLDERS = ("project", "project/in", "shared", "outside", "outside/deep")
FILES = tuple(f"{folder}/{name}" for folder in FOLDERS for name in ("a.tif", "b.csv"))
PARTS = st.sampled_from(
    ["project", "in", "shared", "outside", "deep", "a.tif", "b.csv", "l1", "l2", "l3", "..", ""]
)


@st.composite
def trees(draw: st.DrawFn) -> tuple[dict[str, str], list[str]]:
    """Return links (name below the base, target), and paths below it to try."""
    name = st.sampled_from([f"{folder}/l{n}" for folder in FOLDERS for n in (1, 2, 3)])
    path = st.lists(PARTS, min_size=1, max_size=6).map("/".join)
    links = draw(st.dictionaries(name, st.tuples(st.booleans(), path), max_size=6))
    made = {
        one: f"BASE/{target}" if is_whole else target for one, (is_whole, target) in links.items()
    }
    return made, draw(st.lists(path, min_size=1, max_size=12))


@given(tree=trees())
def test_what_is_held_is_really_inside(
    tmp_path_factory: pytest.TempPathFactory, tree: tuple[dict[str, str], list[str]]
) -> None:
    """The oracle is `os.path.realpath`, which examines all that is on the way."""
    base = Path(os.path.realpath(tmp_path_factory.mktemp("tree")))
    links, paths = tree
    for folder in FOLDERS:
        (base / folder).mkdir(parents=True, exist_ok=True)
    for file in FILES:
        (base / file).touch()
    for link, target in links.items():
        (base / link).symlink_to(target.replace("BASE", str(base)) or ".")
    roots = [base / "project", base / "shared"]
    found = Allowed.of(roots[0], (roots[1],), servers=Servers(), named_by="")
    for path in paths:
        here = f"{base}/project/{path}"
        real = Path(os.path.realpath(here))
        is_inside = any(real.is_relative_to(root) for root in roots)
        if found.holds(here):
            assert is_inside, here
            assert Path(str(found.resolve(here))) == real
        elif is_inside:
            # Only a path that passes a link outside, or a circle, is refused although it ends here.
            parts = here.split("/")
            ways = [Path(os.path.realpath("/".join(parts[:n]) or "/")) for n in range(len(parts))]
            passes = [way for way in ways if not any(way.is_relative_to(r) for r in roots)]
            assert any(way not in roots[0].parents for way in passes) or _is_odd(here), here


def _is_odd(path: str) -> bool:
    """Return whether links on the way lead on to other links, which may be outside or a circle."""
    parts = path.split("/")
    return any(Path("/".join(parts[:n])).is_symlink() for n in range(1, len(parts) + 1))


@pytest.mark.parametrize(
    ("uri", "left"),
    [
        ("a.tif", None), ("in/a.tif", None), ("*.tif", None), ("**/*.tif", None), ("none/x", None),
        ("../project/a.tif", None), ("in/../a.tif", None), ("none/../a.tif", None),
        ("../outside/a.tif", ("../outside/a.tif", False)), ("..", ("..", False)),
        ("/etc/passwd", ("/etc/passwd", False)), ("/etc/*", ("/etc/*", False)),
        ("/", ("/", False)), ("//etc/passwd", ("//etc/passwd", False)),
        ("../*/a.tif", ("../*", False)), ("../**/a.tif", ("..", False)),
        ("in/*/../../../outside/*", ("in/*/../../../outside/*", False)),
        ("in/*/../../outside/*", None), ("[a-z]n/a.tif", None),
        ("*/../../outside/*.tif", ("*/../../outside/*.tif", False)),
        ("none/../../outside/a.tif", ("none/../../outside/a.tif", False)),
    ],
)  # fmt: skip
def test_where_a_uri_leads_out(tmp_path: Path, uri: str, left: tuple[str, bool] | None) -> None:
    project = _lay(tmp_path)
    found = Allowed.of(project, (), servers=Servers(), named_by="")
    assert leaving(uri, project, found) == left


@pytest.mark.parametrize("glob", ["*", "*/a.tif", "**/*.tif", "**", "l*/a.tif", "[l]ink/*"])
@pytest.mark.parametrize("target", ["../outside", "/etc", "..", "/", "l2"])
def test_a_link_to_a_folder_outside_is_found_by_each_glob(
    tmp_path: Path, glob: str, target: str
) -> None:
    project = _lay(tmp_path)
    (project / "l2").symlink_to("../outside")
    (project / "link").symlink_to(target)
    found = Allowed.of(project, (), servers=Servers(), named_by="")
    left = leaving(glob, project, found)
    assert left is not None
    assert left[1], "it is a link"
    (project / "link").unlink()
    (project / "l2").unlink()
    (project / "link").symlink_to("in")
    assert leaving(glob, project, Allowed.of(project, (), servers=Servers(), named_by="")) is None


def _lay(base: Path) -> Path:
    for folder in FOLDERS:
        (base / folder).mkdir(parents=True, exist_ok=True)
    for file in FILES:
        (base / file).touch()
    return base / "project"


def test_circles_and_long_chains_end(tmp_path: Path) -> None:
    project = _lay(tmp_path)
    (project / "x").symlink_to("y")
    (project / "y").symlink_to("x")
    (project / "in" / "here").symlink_to(".")
    for n in range(60):
        (project / f"c{n}").symlink_to(f"c{n + 1}")
    found = Allowed.of(project, (), servers=Servers(), named_by="")
    assert not found.holds(project / "x")
    assert not found.holds(project / "c0")
    assert found.holds(project / "c59")
    assert found.holds(project / "in" / "here" / "here" / "a.tif")
    deep = "here/" * 30
    assert found.resolve(project / "in" / f"{deep}a.tif") == str(
        Path(os.path.realpath(project)) / "in" / "a.tif"
    )
    assert leaving("in/*/*/*/*/*/*/*/*/*.tif", project, found) is None


def test_a_folder_that_is_named_by_a_link_stays_allowed(tmp_path: Path) -> None:
    project = _lay(tmp_path)
    (tmp_path / "way").symlink_to(project)
    (tmp_path / "to").symlink_to("shared")
    found = Allowed.of(tmp_path / "way", (tmp_path / "to",), servers=Servers(), named_by="")
    for path in ("way/a.tif", "project/a.tif", "to/a.tif", "shared/b.csv", "way/../shared/a.tif"):
        assert found.holds(tmp_path / path), path
    assert not found.holds(tmp_path / "outside" / "a.tif")


def test_entries_of_allow() -> None:
    good = (
        "../data/", "/mnt/data", ".", "..", "data/", "./x", "https:", "http:", "https://", "gs:",
        "gs://bucket/", "data.example.org", "localhost", "127.0.0.1", "example.org:8080",
        "https://example.org", "https://example.org/", "http://[::1]:8080", "[::1]", "S3://b/",
    )  # fmt: skip
    for entry in good:
        assert entry_complaint(entry) is None, entry
    bad = (
        "", " ", "data", "~/data", "~", "*/", "../*/x", "file:", "file:///etc", "a\0/",
        "https://example.org/path", "https://user@example.org", "https://example.org:0",
        "exa mple.org", "example.org/?x:1*", "https:example.org",
    )  # fmt: skip
    for entry in bad:
        assert entry_complaint(entry) is not None, entry


def test_uris_of_a_bucket_are_allowed_where_the_same_file_maps_them(tmp_path: Path) -> None:
    mirrors = [("gs://a/", tmp_path / "shared"), ("s3://b/", tmp_path / "outside")]
    project = _lay(tmp_path)
    found, problems = allowed(["gs://a/"], mirrors, folder=project, path="f")
    assert problems == []
    assert found.holds(tmp_path / "shared" / "a.tif")
    assert not found.holds(tmp_path / "outside" / "a.tif")
    found, problems = allowed(["s3:"], mirrors, folder=project, path="f")
    assert (problems, found.holds(tmp_path / "outside" / "a.tif")) == ([], True)
    _, problems = allowed(["gs://c/"], mirrors, folder=project, path="f")
    assert "maps no such uris" in problems[0].message


def test_an_entry_behind_a_link_in_the_project_is_refused(tmp_path: Path) -> None:
    """Whoever may change the project could let the link lead anywhere."""
    project = _lay(tmp_path)
    (project / "data").symlink_to("../outside")
    (project / "geobatch.yaml").write_text("allow: [data/]\n")
    (project / "s.yaml").write_text("id: a\ntilesets: [{sources: [{uris: [data/a.tif]}]}]\n")
    done = geobatch("validate", project / "s.yaml")
    assert done.code == 1
    assert "behind a link" in done.err
    assert str(tmp_path / "outside") not in done.err
    (project / "geobatch.yaml").write_text(f"allow: [{tmp_path / 'outside'}/]\n")
    assert geobatch("validate", project / "s.yaml").code == 0


def test_a_project_without_allow_reads_everything() -> None:
    assert Project().locate("/etc/passwd", Path("/x")).allowed is None
