"""What a run is asked to do, and the published state that it starts from."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeAlias

from msgspec import Struct

from geobatch import workflow
from geobatch.declare.projects.confine import Confine
from geobatch.errors import NotFoundError
from geobatch.model.assets.image import Raster
from geobatch.model.plans.plan import Options
from geobatch.model.published import Head
from geobatch.processors import processor_count
from geobatch.store.location import StoreLocation, StoreText
from geobatch.store.tilestore import TileStore

Location: TypeAlias = str | os.PathLike[str]
"""A path of a file or folder."""
Paths: TypeAlias = Location | Iterable[Location]
"""One path, or several."""

DEFAULT_STORE = "store"


class Request(Struct, frozen=True, kw_only=True):
    """What a run is asked to do."""

    paths: tuple[Path, ...]
    """Spec files, and folders of them."""
    store: StoreLocation = StoreLocation.of(DEFAULT_STORE)
    """Where the store is."""
    workers: int = 1
    """Threads that probe sources, and tasks that are run at a time."""
    rehash: bool = False
    """Whether to read every source, also those whose stat did not change."""
    options: Options = Options()
    """What to cover."""
    keep_going: bool = False
    """Whether to go on with the other assets if the sources of some fail."""
    message: str = ""
    """What the commit says besides what was done."""
    is_git: bool = True
    """Whether the commit records the Git commit of the specs, if they are in a checkout."""
    pull_request: str = ""
    """URL of the pull request; empty for the one of the pipeline, if there is one."""
    confine: Confine | None = None
    """Whether to read only the project's folder and what is allowed."""
    executor: Any = None
    """How tasks are run: a name, a `distributed.Client` or an `Executor`; None for what suits."""

    @classmethod
    def of(
        cls,
        paths: Paths,
        *,
        store: StoreText = DEFAULT_STORE,
        workers: int | None = None,
        rehash: bool = False,
        options: Options | None = None,
        keep_going: bool = False,
        message: str = "",
        is_git: bool = True,
        pull_request: str = "",
        confine: Confine | None = None,
        executor: Any = None,
    ) -> Request:
        """Return a request from the arguments of a public function.

        Raises:
            SettingError: The store is named by a url that is none of a bucket.
            ValueError: `workers` is less than 1.
            SettingError: `executor` is the name of no executor, or its library is not installed.
            TypeError: `executor` is no executor.
        """
        if workers is not None and workers < 1:
            raise ValueError(f"`workers` must be at least 1, got `{workers}`")
        if executor is not None:
            workflow.check_executor(executor)
        several = [paths] if isinstance(paths, str | os.PathLike) else paths
        files = tuple(map(Path, several))
        location = StoreLocation.of(store)
        return cls(
            paths=files,
            store=location.of_project(files[0]) if files else location,
            workers=workers or processor_count(),
            rehash=rehash,
            options=options or Options(),
            keep_going=keep_going,
            message=message,
            is_git=is_git,
            pull_request=pull_request,
            confine=confine,
            executor=executor,
        )


class Base(Struct, frozen=True, kw_only=True, eq=False):
    """The published state that a plan is compared with."""

    store: TileStore | None = None
    """The open store; None if there is none yet."""
    head: Head = Head()
    """Its newest commit."""

    def image(self, asset_id: str) -> Raster:
        """Return a published image.

        Raises:
            NotFoundError: There is none.
            CorruptObjectError: Its document is damaged.
        """
        entry = self.head.tree.entry(asset_id)
        if entry is None or self.store is None:
            raise NotFoundError(f"there is no asset `{asset_id}`")
        return self.store.record(entry).image

    @property
    def store_id(self) -> str:
        """Uuid of the store; empty if there is none yet."""
        return "" if self.store is None else self.store.id
