"""A bare remote with specs, clones of it, rasters outside of Git, and a store that all share."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from workbench import image, write_tiff

from geobatch import apply, open_store, plan
from geobatch.model.provenance import Provenance

PIPELINE = ("GITHUB_", "CI_", "GITLAB_", "GIT_", "GEOBATCH_", "RUNNER_")
"""Starts of the names of variables that steer what is tested."""
GIT = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}


def clean_environment() -> dict[str, str]:
    """Return the environment of a pipeline before it sets its own variables."""
    found = {name: value for name, value in os.environ.items() if not name.startswith(PIPELINE)}
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return {**found, **GIT, "PATH": path, "NO_COLOR": "1", "COLUMNS": "120"}


@dataclass(frozen=True, kw_only=True)
class Checkout:
    """A clone of the remote, in which one person works."""

    folder: Path
    """Where it is."""

    @classmethod
    def clone(cls, remote: Path, name: str) -> Checkout:
        """Clone a remote, beside it; the name is that of the person, too."""
        checkout = cls(folder=remote.parent / name)
        who = {"user.name": name.title(), "user.email": f"{name}@example.org"}
        options = [f"-c{key}={value}" for key, value in who.items()]
        command = ["git", "clone", "--quiet", *options, str(remote), str(checkout.folder)]
        subprocess.run(command, check=True, env=clean_environment(), capture_output=True)
        return checkout

    def git(self, *arguments: str) -> str:
        """Run Git, and return what it prints."""
        done = subprocess.run(
            ["git", *arguments], cwd=self.folder, check=True, capture_output=True, text=True,
            env=clean_environment(),
        )  # fmt: skip
        return done.stdout.strip()

    def write(self, name: str, document: object) -> None:
        """Write a spec or a project file."""
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(yaml.safe_dump(document))

    def push(self, branch: str, message: str) -> str:
        """Commit all to a branch, and push it; return the digest of the commit."""
        if self.git("branch", "--show-current") != branch:
            self.git("switch", "--quiet", "--create", branch)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", message)
        self.git("push", "--quiet", "origin", branch)
        return self.git("rev-parse", "HEAD")

    def merge(self, branch: str, message: str) -> str:
        """Merge a branch into main, as a hosting site does, and push; return the merge commit."""
        self.git("fetch", "--quiet")
        self.git("switch", "--quiet", "--detach", "origin/main")
        self.git("merge", "--quiet", "--no-ff", "--message", message, f"origin/{branch}")
        self.git("push", "--quiet", "origin", "HEAD:main")
        return self.git("rev-parse", "HEAD")

    def goto(self, reference: str) -> None:
        """Check a commit out, as a pipeline does."""
        self.git("fetch", "--quiet")
        self.git("switch", "--quiet", "--detach", reference)


@dataclass(frozen=True, kw_only=True)
class Team:
    """All that the tests of a pipeline share."""

    folder: Path
    """What is not in Git is here: `rasters/` and `store/`."""
    ana: Checkout
    """Who edits specs."""
    runner: Checkout
    """The checkout of the pipeline."""

    @classmethod
    def meet(cls, folder: Path) -> Team:
        """Make a remote with two specs, and a store with their assets."""
        (folder / "rasters").mkdir()
        for number, name in enumerate("ab"):
            pixels = np.arange(64 * 64, dtype=np.uint16).reshape(64, 64) + number
            write_tiff(folder / "rasters" / f"{name}.tif", [pixels])
        remote = folder / "remote.git"
        command = ["git", "init", "--quiet", "--bare", "--initial-branch=main", str(remote)]
        subprocess.run(command, check=True, env=clean_environment())
        ana = Checkout.clone(remote, "ana")
        ana.write("geobatch.yaml", {"allow": ["../rasters/"]})
        for name in "ab":
            ana.write(f"specs/{name}.yaml", spec(name))
        ana.push("main", "Two specs")
        team = cls(folder=folder, ana=ana, runner=Checkout.clone(remote, "runner"))
        apply(team.runner.folder / "specs", store=team.store)
        return team

    @property
    def store(self) -> Path:
        """The store."""
        return self.folder / "store"

    def newest(self) -> tuple[str, Provenance | None]:
        """Return the digest of the newest commit, and what it records."""
        with open_store(self.store) as store:
            commit = next(iter(store.log()))
        return commit.digest, commit.provenance

    def is_published(self, checkout: Checkout) -> bool:
        """Return whether the store has what the specs of a checkout declare."""
        return plan(checkout.folder / "specs", store=self.store).is_empty


def spec(name: str, **more: Any) -> dict[str, object]:
    """Return the spec of an asset in small tiles."""
    return image(name, f"../../rasters/{name}.tif", tile=16, **more)
