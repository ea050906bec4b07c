"""`--prune` from another clone of the repository that published the assets."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from shell import geobatch
from workbench import image, write_tiff

from geobatch.store.objects import Objects
from geobatch.store.tilestore import TileStore
from geobatch.workflow.checkouts import Checkouts, address_of

IDENTITY = (
    "-c",
    "user.name=a",
    "-c",
    "user.email=a@example.org",
    "-c",
    "protocol.file.allow=always",
)


def git(folder: Path, *argv: str | Path) -> None:
    subprocess.run(["git", *IDENTITY, "-C", folder, *argv], check=True, capture_output=True)


class Repository:
    """A bare remote, its clones, and a store that none of them contains."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.store = place / "store"
        self.remote = place / "remote.git"
        self.remote.mkdir()
        git(self.remote, "init", "--bare", "-b", "main")
        self.data = write_tiff(place / "a.tif", [np.full((4, 4), 7, np.uint8)])
        one = self.clone("one")
        for name in "abc":
            self.spec(one, f"specs/{name}.yaml", name)
        self.push(one)

    def clone(self, name: str, *argv: str) -> Path:
        folder = self.place / name
        folder.mkdir(parents=True)
        git(folder, "clone", *argv, self.remote.as_uri(), ".")
        return folder

    def spec(self, clone: Path, file: str, *ids: str, **more: Any) -> None:
        path = clone / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(yaml.safe_dump_all([image(one, self.data, **more) for one in ids]))

    def push(self, clone: Path) -> None:
        git(clone, "add", "-A")
        git(clone, "commit", "-m", "m")
        git(clone, "push", "origin", "HEAD:main")

    def apply(self, specs: Path, *argv: str, code: int = 0) -> None:
        done = geobatch("--store", self.store, "apply", specs, *argv, "--init")
        assert done.code == code, done.err + done.out

    def ids(self) -> list[str]:
        return [entry.id for entry in TileStore.open(self.store).head().tree.entries]


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    """Return a repository whose assets `a`, `b` and `c` a clone has published."""
    made = Repository(tmp_path)
    made.apply(tmp_path / "one/specs")
    return made


PRUNE = ("--prune", "--max-delete", "2")


@pytest.mark.parametrize("depth", [(), ("--depth", "1")], ids=["whole", "shallow"])
def test_another_clone_prunes(repository: Repository, depth: tuple[str, ...]) -> None:
    """Its name and its depth in the file system are others."""
    other = repository.clone("runs/7/checkout", *depth)
    git(other, "rm", "specs/b.yaml")
    repository.push(other)
    plan = geobatch("--store", repository.store, "plan", other / "specs", *PRUNE, "--json")
    assert plan.record("plan")["deleted"] == ["b"]
    repository.apply(other / "specs")
    assert repository.ids() == ["a", "b", "c"]
    repository.apply(other / "specs", *PRUNE)
    assert repository.ids() == ["a", "c"]
    # The first clone sees what the other one published.
    git(repository.place / "one", "pull", "origin", "main")
    git(repository.place / "one", "rm", "specs/c.yaml")
    repository.apply(repository.place / "one/specs", *PRUNE)
    assert repository.ids() == ["a"]


def test_a_plan_of_one_clone_is_applied_in_another(repository: Repository) -> None:
    plan = repository.place / "p.json"
    for name in ("two", "three"):
        git(repository.clone(name), "rm", "specs/b.yaml")
    two, three = repository.place / "two", repository.place / "three"
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(two)
        made = geobatch("--store", repository.store, "plan", "specs", *PRUNE, "-o", plan)
        assert made.code == 0, made.err
        patch.chdir(three)
        done = geobatch("--store", repository.store, "apply", plan, "--no-git")
        assert done.code == 0, done.err
    assert repository.ids() == ["a", "c"]


def test_a_spec_that_exists_and_was_not_given_stays(repository: Repository) -> None:
    other = repository.clone("two")
    git(other, "rm", "specs/b.yaml")
    repository.apply(other / "specs/a.yaml", *PRUNE)
    assert repository.ids() == ["a", "b", "c"]


def test_an_asset_that_moved_to_another_file_stays(repository: Repository) -> None:
    other = repository.clone("two")
    git(other, "mv", "specs/b.yaml", "specs/d.yaml")
    repository.apply(other / "specs", *PRUNE)
    assert repository.ids() == ["a", "b", "c"]


@pytest.mark.parametrize("kind", ["other", "none", "sparse", "two remotes", "copy"])
def test_what_may_be_another_repository_prunes_nothing(repository: Repository, kind: str) -> None:
    other = repository.clone("two")
    (other / "specs/b.yaml").unlink()
    if kind == "other":
        git(other, "remote", "set-url", "origin", repository.place / "another.git")
    elif kind == "none":
        git(other, "remote", "remove", "origin")
    elif kind == "two remotes":
        git(other, "remote", "rename", "origin", "x")
        git(other, "remote", "add", "y", repository.remote)
    elif kind == "sparse":
        git(other, "config", "core.sparseCheckout", "true")
    else:
        shutil.rmtree(other / ".git")
    repository.apply(other / "specs", *PRUNE)
    assert repository.ids() == ["a", "b", "c"]


def test_a_store_of_before_is_pruned_from_the_same_path_only(repository: Repository) -> None:
    """The document of origins has no checkouts; the next commit adds those of its specs."""
    store = TileStore.open(repository.store)
    commit = store.head().commit
    assert commit is not None
    assert commit.origins is not None
    path = repository.store / Objects.path(commit.origins)
    document = json.loads(path.read_text())
    assert document.keys() == {"checkouts", "format", "origins"}
    assert {tuple(one) for one in document["checkouts"].values()} == {
        (document["checkouts"][name][0], f"specs/{Path(name).name}")
        for name in document["origins"].values()
    }
    old = repository.place / "old"
    geobatch("--store", old, "apply", repository.place / "one/specs", "--init", "--no-git")
    made = TileStore.open(old).head().commit
    assert made is not None
    assert made.origins is not None
    assert json.loads((old / Objects.path(made.origins)).read_text()).keys() == {
        "format", "origins",
    }  # fmt: skip
    repository.store = old
    other = repository.clone("two")
    (other / "specs/b.yaml").unlink()
    repository.apply(other / "specs", *PRUNE)
    assert repository.ids() == ["a", "b", "c"]
    (repository.place / "one/specs/b.yaml").unlink()
    repository.apply(repository.place / "one/specs", *PRUNE)
    assert repository.ids() == ["a", "c"]
    (other / "specs/c.yaml").unlink()
    repository.apply(other / "specs", *PRUNE)
    assert repository.ids() == ["a"]


def test_the_content_root_does_not_depend_on_git(repository: Repository) -> None:
    roots = set()
    for name, argv in (("git", ()), ("none", ("--no-git",))):
        store = repository.place / name
        done = geobatch(
            "--store", store, "apply", repository.place / "one/specs", "--init", "--json", *argv
        )
        roots.add(done.record("summary")["content_root"])
    assert len(roots) == 1


def test_a_rollback_keeps_where_specs_are(repository: Repository) -> None:
    one = repository.place / "one"
    (one / "specs/c.yaml").unlink()
    repository.apply(one / "specs", *PRUNE)
    assert geobatch("--store", repository.store, "rollback", "HEAD~1").code == 0
    assert repository.ids() == ["a", "b", "c"]
    other = repository.clone("two")
    git(other, "rm", "specs/c.yaml")
    repository.apply(other / "specs", *PRUNE)
    assert repository.ids() == ["a", "b"]


def test_two_clones_at_once_are_not_confused(repository: Repository) -> None:
    """Which of both a spec would be in is not known: only paths count."""
    two, three = repository.clone("two"), repository.clone("three")
    for clone in (two, three):
        shutil.rmtree(clone / "specs")
    repository.spec(two, "specs/a.yaml", "a")
    repository.spec(three, "specs/z.yaml", "z")
    done = geobatch("--store", repository.store, "apply", two, three, *PRUNE)
    assert done.code == 0, done.err
    assert repository.ids() == ["a", "b", "c", "z"]


SAME = [
    "git@git.example.org:group/repo.git",
    "git.example.org:group/repo",
    "ssh://git@git.example.org:2222/group/repo.git",
    "https://git.example.org/group/repo",
    "https://user:secret@GIT.example.org/group/repo.git/",
    "https://git.example.org:8443/group/repo.git",
]


def test_addresses_of_one_repository_are_equal(tmp_path: Path) -> None:
    found = {address_of(url, top=str(tmp_path)) for url in SAME}
    assert found == {"git.example.org/group/repo"}
    others = ["https://git.example.org/group/other", "https://example.org/group/repo", "group/repo"]
    assert found.isdisjoint(address_of(url, top=str(tmp_path)) for url in others)
    paths = [tmp_path / "x.git", f"file://{tmp_path}/x.git", "./x", f"{tmp_path}/y/../x.git/"]
    assert len({address_of(str(one), top=str(tmp_path)) for one in paths}) == 1
    assert {address_of(one, top="/") for one in ("", "https://h/", ".git", "/")} == {""}


def test_no_git_is_started_outside_a_checkout(tmp_path: Path) -> None:
    assert Checkouts().of(tmp_path) is None
    assert Checkouts().of(tmp_path / "no" / "file.yaml") is None
