"""The store that the command line names: how it is checked and opened."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from geobatch.cli.settings import DEFAULT_STORE, Settings
from geobatch.errors import NoStoreError, NotFoundError

if TYPE_CHECKING:
    from geobatch.store.tilestore import TileStore


def check_store(settings: Settings, paths: Sequence[Path], *, is_new: bool) -> None:
    """Check that there is a store, unless it is the default one beside the specs, `store/`.

    A mistyped name must not look like an empty store in which everything is to be created.

    Raises:
        NoStoreError: There is none, and none may be made.
    """
    folder = settings.store.folder
    if folder is None:
        if not is_new:
            require_store(settings)
        return
    place = _absolute(folder)
    is_beside = all(_absolute(path).is_relative_to(place.parent) for path in paths)
    may_create = is_new or (place.name == DEFAULT_STORE and is_beside)
    if not may_create or _other_content(place) is not None:
        require_store(settings)


def require_store(settings: Settings) -> None:
    """Check that there is a store to read.

    Raises:
        NoStoreError: There is none.
    """
    if not settings.store.has_store():
        name = shlex.quote(str(settings.store))
        hint = (
            f"`geobatch init --store {name}` creates one there, and so does `apply` with `--init`; "
            f"only a folder `{DEFAULT_STORE}` beside the specs is created without asking"
        )
        folder = settings.store.folder
        if folder is None:
            hint = f"`geobatch init --store {name}` creates one, and so does `apply` with `--init`"
        elif (other := _other_content(folder)) is not None:
            hint = f"it holds `{other}`; name a store, or an empty or new folder, with `--store`"
        raise NoStoreError(f"there is no store at `{settings.store}`", hint=hint)


def _other_content(folder: Path) -> str | None:
    """Return a name in a folder because of which no store can be created there."""
    try:
        names = set(os.listdir(folder)) - {"cache", "runs"}  # noqa: PTH208 - an older run's
    except OSError:
        return None
    return min(names, default=None)


def reading(settings: Settings) -> closing[TileStore]:
    """Return a context with the store open."""
    from geobatch.store.tilestore import TileStore  # noqa: PLC0415

    require_store(settings)
    return closing(TileStore.open(settings.store))


def no_asset(asset: str, ids: list[str]) -> NotFoundError:
    """Return the error of an asset that is not published, with the nearest that is."""
    from geobatch.model.text.suggest import suggestion  # noqa: PLC0415

    hint = suggestion(asset, ids) or "`geobatch ls` lists the assets"
    return NotFoundError(f"no asset `{asset}` is published", hint=hint)


def _absolute(path: Path) -> Path:
    return Path(os.path.abspath(path))  # noqa: PTH100 - links are left as they are
