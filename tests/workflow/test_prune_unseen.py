"""`--prune` deletes what is gone, and never what was only not seen."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from shell import Done, geobatch
from workbench import image, write_tiff

OTHERS = [f"other{number}" for number in range(6)]
"""Assets that stay: one that goes besides them is no more than a fifth."""


class Folder:
    """Specs in `specs/`, data in `data/`, and a store."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.specs = place / "specs"
        self.specs.mkdir()
        self.data = place / "data"
        self.data.mkdir()
        self.tiff("a")
        for name in OTHERS:
            self.spec(f"specs/{name}.yaml", name)

    def tiff(self, name: str) -> Path:
        path = self.data / f"{name}.tif"
        path.parent.mkdir(exist_ok=True, parents=True)
        return write_tiff(path, [np.full((4, 4), 7, np.uint8)])

    def spec(self, file: str, *ids: str) -> Path:
        path = self.place / file
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_text(yaml.safe_dump_all([image(i, self.data / "a.tif") for i in ids]))
        return path

    def run(self, command: str, *argv: str | Path) -> Done:
        return geobatch("--store", self.place / "store", command, *argv)

    def apply(self, *argv: str | Path) -> Done:
        done = self.run("apply", *(argv or (self.specs,)))
        assert done.code == 0, done.err
        return done

    def prune(self, *argv: str | Path) -> Done:
        """Prune, check that `plan` says the same, and return what was printed."""
        argv = argv or (self.specs,)
        shown = self.run("plan", *argv, "--prune")
        done = self.run("apply", *argv, "--prune")
        assert "bug in geobatch" not in done.err
        assert (done.code == 5) == ("apply would refuse" in shown.out), shown.out
        return done

    @property
    def ids(self) -> set[str]:
        done = self.run("ls")
        return {line.split()[0] for line in done.out.splitlines()} & {*OTHERS, "gone", "c/x", "c/y"}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Folder:
    monkeypatch.chdir(tmp_path)
    return Folder(tmp_path)


def assert_refused(folder: Folder, done: Done, *names: str, code: int = 5) -> None:
    assert done.code == code, done.out + done.err
    for name in names:
        assert name in done.err
    assert "gone" in folder.ids


def test_what_is_gone_is_pruned(folder: Folder) -> None:
    spec = folder.spec("specs/sub/gone.yaml", "gone")
    folder.apply()
    shutil.rmtree(spec.parent)
    assert folder.prune().code == 0
    assert folder.ids == {*OTHERS}


@pytest.mark.parametrize("is_absolute", [True, False])
def test_a_linked_folder_is_walked(folder: Folder, is_absolute: bool) -> None:
    spec = folder.spec("elsewhere/deep/gone.yaml", "gone")
    folder.spec("elsewhere/stays.yaml", "stays")
    target = folder.place / "elsewhere" if is_absolute else Path("../elsewhere")
    (folder.specs / "link").symlink_to(target)
    folder.apply()
    assert "gone" in folder.ids
    assert folder.prune().code == 0
    assert "gone" in folder.ids
    spec.unlink()
    spec.parent.rmdir()
    assert folder.prune().code == 0, "a spec that is gone behind a link is gone"
    assert "gone" not in folder.ids


def test_a_folder_that_becomes_a_link_stays(folder: Folder) -> None:
    folder.spec("specs/sub/gone.yaml", "gone")
    folder.apply()
    shutil.move(folder.specs / "sub", folder.place / "moved")
    (folder.specs / "sub").symlink_to(folder.place / "moved")
    assert folder.prune().code == 0
    assert "gone" in folder.ids
    shutil.move(folder.place / "moved", folder.place / "unmounted")
    assert_refused(folder, folder.prune(), "specs/sub", "broken link")


def test_a_file_that_two_names_lead_to_counts_once(folder: Folder) -> None:
    folder.spec("elsewhere/gone.yaml", "gone")
    for name in ("one", "two"):
        (folder.specs / name).symlink_to(folder.place / "elsewhere")
    (folder.specs / "three.yaml").symlink_to(folder.place / "elsewhere/gone.yaml")
    (folder.place / "elsewhere/back").symlink_to(folder.place / "elsewhere")
    (folder.place / "elsewhere/up").symlink_to(folder.place)
    (folder.place / "stranger.yaml").write_text("not: a spec\n")
    folder.apply()
    folder.apply(folder.specs, folder.place / "elsewhere")
    assert folder.prune().code == 0
    assert folder.ids == {*OTHERS, "gone"}


def test_many_links_are_walked_in_no_time(folder: Folder) -> None:
    inner = folder.place / "nest"
    for depth in range(24):
        (inner / str(depth)).mkdir(parents=True)
    for depth in range(23):
        for name in "ab":
            (inner / str(depth) / name).symlink_to(inner / str(depth + 1))
    folder.spec("nest/23/gone.yaml", "gone")
    (folder.specs / "link").symlink_to(inner / "0")
    folder.apply()
    assert "gone" in folder.ids


def hide(folder: Folder, spec: Path) -> None:
    spec.rename(spec.with_name(f".{spec.name}"))


def hide_folder(folder: Folder, spec: Path) -> None:
    spec.parent.rename(spec.parent.with_name(".sub"))


def empty_folder(folder: Folder, spec: Path) -> None:
    spec.unlink()
    (spec.parent / "lost+found").mkdir()


def dangling_folder(folder: Folder, spec: Path) -> None:
    shutil.rmtree(spec.parent)
    spec.parent.symlink_to("/nowhere/at/all")


def stray_link(folder: Folder, spec: Path) -> None:
    shutil.rmtree(spec.parent)
    (folder.specs / "disk").symlink_to("/nowhere/at/all")


def pipe(folder: Folder, spec: Path) -> None:
    spec.unlink()
    os.mkfifo(spec)


def like_a_store(folder: Folder, spec: Path) -> None:
    (spec.parent / "zarr.json").write_text("{}")


@pytest.mark.parametrize(
    ("happen", "named", "can_be_allowed"),
    [
        (hide, "specs/sub/.gone.yaml", True),
        (hide_folder, "specs/.sub", True),
        (empty_folder, "specs/sub` is empty", True),
        (dangling_folder, "specs/sub` is a broken link", False),
        (stray_link, "specs/disk` is a broken link", False),
        (pipe, "specs/sub/gone.yaml` exists and was not read", False),
        (like_a_store, "specs/sub/gone.yaml` exists and was not read", False),
    ],
)
def test_what_is_out_of_sight_is_not_pruned(
    folder: Folder,
    happen: Callable[[Folder, Path], None],
    named: str,
    can_be_allowed: bool,
) -> None:
    spec = folder.spec("specs/sub/gone.yaml", "gone")
    folder.apply()
    happen(folder, spec)
    assert_refused(folder, folder.prune(), named, "gone")
    done = folder.prune(folder.specs, "--max-delete", "1")
    assert done.code == (0 if can_be_allowed else 5), done.err
    assert ("gone" in folder.ids) is not can_be_allowed


def test_a_file_given_by_name_and_not_walked_stays(folder: Folder) -> None:
    hidden = folder.spec("specs/.hidden/gone.yaml", "gone")
    other = folder.spec("specs/gone.txt", "c/x")
    folder.apply(folder.specs, hidden, other)
    done = folder.prune()
    assert_refused(folder, done, ".hidden/gone.yaml", "gone.txt")
    assert folder.prune(folder.specs, hidden, other).code == 0
    assert folder.ids == {*OTHERS, "gone", "c/x"}


@pytest.mark.parametrize("name", ["gone.yml", "gone.YAML", "gone.json"])
def test_any_suffix_of_a_spec_is_seen(folder: Folder, name: str) -> None:
    spec = folder.spec("specs/gone.yaml", "gone")
    folder.apply()
    if name.endswith("json"):
        document: Any = yaml.safe_load(spec.read_text())
        (folder.specs / name).write_text(json.dumps(document))
        spec.unlink()
    else:
        spec.rename(folder.specs / name)
    assert folder.prune().code == 0
    assert "gone" in folder.ids


@pytest.mark.parametrize(
    "text", ["", "# id: gone\n", "---\n---\n", "\ufeff", "id: gone\ntilesets: [", "\x00", "null\n"]
)
def test_a_file_that_says_nothing_is_an_error(folder: Folder, text: str) -> None:
    spec = folder.spec("specs/gone.yaml", "gone")
    folder.apply()
    spec.write_text(text)
    assert_refused(folder, folder.prune(), "gone.yaml", code=1)
    assert_refused(folder, folder.prune(folder.specs, "--keep-going"), "gone.yaml", code=1)


def test_a_dangling_file_is_an_error(folder: Folder) -> None:
    spec = folder.spec("specs/gone.yaml", "gone")
    folder.apply()
    spec.unlink()
    spec.symlink_to("/nowhere/at/all.yaml")
    assert_refused(folder, folder.prune(), "gone.yaml", code=1)


def test_of_several_paths_each_must_be_there(folder: Folder) -> None:
    spec = folder.spec("more/gone.yaml", "gone")
    folder.apply(folder.specs, spec.parent)
    spec.unlink()
    done = folder.prune(folder.specs, spec.parent)
    assert_refused(folder, done, "more` is empty")
    assert_refused(folder, folder.prune(folder.specs, spec), "more/gone.yaml", code=1)
    spec.parent.rmdir()
    assert_refused(folder, folder.prune(folder.specs, spec.parent), "more", code=1)


def test_however_a_folder_is_spelled_the_same_is_pruned(folder: Folder) -> None:
    link = folder.place / "by-link"
    link.symlink_to(folder.specs)
    paths: list[str | Path] = ["specs", "specs/", "./specs/../specs", link, folder.specs]
    for number, path in enumerate(paths):
        spec = folder.spec("specs/gone.yaml", "gone")
        folder.apply("specs" if number % 2 else link)
        spec.unlink()
        assert folder.prune(path).code == 0
        assert folder.ids == {*OTHERS}


def unreadable(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Have the system refuse to list a folder, also to root."""
    scandir = os.scandir

    def refuse(path: Any = ".") -> Any:
        if os.path.realpath(os.fspath(path)) == str(folder):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)


def test_a_folder_that_cannot_be_read_is_an_error(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = folder.spec("specs/sub/gone.yaml", "gone")
    folder.apply()
    unreadable(monkeypatch, spec.parent)
    assert_refused(folder, folder.prune(), "specs/sub", "Permission denied", code=1)


RULE = {
    "kind": "image_collection",
    "id": "c",
    "for_each": {"files": "../data/c/*/*.tif"},
    "image": {"id": "{stem}"},
}


@pytest.mark.parametrize(
    "pattern", ["../data/c/*/*.tif", "../data/c/**/*.tif", "../data/c/?/[xy].tif"]
)
def test_files_of_a_collection_that_are_out_of_sight(
    folder: Folder, monkeypatch: pytest.MonkeyPatch, pattern: str
) -> None:
    first, second = folder.tiff("c/1/x"), folder.tiff("c/2/y")
    (folder.specs / "c.yaml").write_text(yaml.safe_dump(RULE | {"for_each": {"files": pattern}}))
    folder.apply()
    with monkeypatch.context() as patch:
        unreadable(patch, second.parent)
        assert_refused_collection(folder, folder.prune(), "data/c/2", code=7)
    second.unlink()
    assert_refused_collection(folder, folder.prune(), "data/c/2` is empty", code=5)
    folder.tiff("c/2/z")
    done = folder.prune()
    assert done.code == 0, "beside a file that is there, one that is not is gone"
    assert folder.ids == {*OTHERS, "c/x"}
    first.unlink()
    (folder.data / "c/2/z.tif").unlink()
    assert folder.prune().code == 7, "a glob that matches nothing is an error"
    assert "c/x" in folder.ids


def assert_refused_collection(folder: Folder, done: Done, name: str, *, code: int) -> None:
    assert done.code == code, done.out + done.err
    assert name in done.err
    assert folder.ids == {*OTHERS, "c/x", "c/y"}


def test_the_rows_of_a_collection_do_not_decide(folder: Folder) -> None:
    folder.tiff("c/1/x")
    folder.tiff("c/2/y")
    rule = RULE | {"for_each": RULE["for_each"] | {"csv": {"path": "rows.csv"}}}  # type: ignore[operator]
    (folder.specs / "c.yaml").write_text(yaml.safe_dump(rule))
    (folder.specs / "rows.csv").write_text("file,n\nx.tif,1\ny.tif,2\n")
    folder.apply()
    (folder.specs / "rows.csv").write_text("file,n\nx.tif,1\n")
    assert_refused_collection(folder, folder.prune(), "y.tif", code=1)


@pytest.mark.parametrize("text", ["keep_project_prefix: true\n", None])
def test_another_prefix_of_ids_is_no_deletion(folder: Folder, text: str | None) -> None:
    project = folder.specs / "geobatch.yaml"
    project.write_text("keep_project_prefix: true\n" if text is None else "")
    (folder.specs / "sub").mkdir()
    document = image("", folder.data / "a.tif") | {"name": "projects/p/assets/gone"}
    del document["id"]
    (folder.specs / "gone.yaml").write_text(yaml.safe_dump(document))
    folder.apply()
    before = folder.run("ls").out
    if text is None:
        project.unlink()
    else:
        project.write_text(text)
    done = folder.prune()
    assert done.code == 5, done.out
    assert "keep_project_prefix" in done.err
    assert folder.run("ls").out == before


def test_a_project_file_out_of_sight_is_an_error(folder: Folder) -> None:
    (folder.specs / "geobatch.yaml").symlink_to("/nowhere/at/all.yaml")
    done = folder.run("validate", folder.specs)
    assert done.code == 1
    assert "geobatch.yaml" in done.err


def test_what_is_selected_is_all_that_is_pruned(folder: Folder) -> None:
    spec = folder.spec("specs/gone.yaml", "gone")
    folder.spec("specs/kept.yaml", "kept")
    folder.apply()
    spec.unlink()
    (folder.specs / "kept.yaml").unlink()
    for pattern in ("other*", "state:new", "state:modified"):
        assert folder.prune(folder.specs, "--select", pattern).code == 0
        assert "gone" in folder.ids
    assert folder.prune(folder.specs, "--select", "gone").code == 0
    assert folder.ids == {*OTHERS}
    assert "kept" in folder.run("ls").out


def test_a_saved_plan_sees_what_went_out_of_sight(folder: Folder) -> None:
    spec = folder.spec("specs/sub/gone.yaml", "gone")
    folder.spec("specs/sub/kept.yaml", "other0")
    (folder.specs / "other0.yaml").unlink()
    folder.apply()
    spec.unlink()
    assert folder.run("plan", folder.specs, "--prune", "-o", "p.json").code == 0
    (folder.specs / "disk").symlink_to("/nowhere/at/all")
    assert_refused(folder, folder.run("apply", "p.json"), "specs/disk")


def test_a_rename_does_not_take_what_may_be_declared_elsewhere(folder: Folder) -> None:
    spec = folder.spec("disk/gone.yaml", "gone")
    folder.apply(folder.specs, spec)
    spec.unlink()  # as if the disk was unmounted
    document = image("c/x", folder.data / "a.tif", moved_from="gone")
    (folder.specs / "new.yaml").write_text(yaml.safe_dump(document))
    assert_refused(folder, folder.run("apply", folder.specs), "disk/gone.yaml")
    spec.parent.rmdir()
    folder.apply()
    assert folder.ids == {*OTHERS, "c/x"}
