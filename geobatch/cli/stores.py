"""The store that the command line names: how it is checked and opened."""

from __future__ import annotations

import os
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
    place = _absolute(settings.store)
    is_beside = all(_absolute(path).is_relative_to(place.parent) for path in paths)
    if not is_new and not (place.name == DEFAULT_STORE and is_beside):
        require_store(settings)


def require_store(settings: Settings) -> None:
    """Check that there is a store to read.

    Raises:
        NoStoreError: There is none.
    """
    from geobatch.store.identity import is_store  # noqa: PLC0415

    if not is_store(settings.store):
        raise NoStoreError(
            f"there is no store at `{settings.store}`",
            hint=f"`geobatch init --store {settings.store}` creates one there, and so does `apply` "
            f"with `--init`; only a folder `{DEFAULT_STORE}` beside the specs is created without "
            "asking",
        )


def reading(settings: Settings) -> closing[TileStore]:
    """Return a context with the store open."""
    from geobatch.store.tilestore import TileStore  # noqa: PLC0415

    require_store(settings)
    return closing(TileStore.open(settings.store))


def no_asset(asset: str, ids: list[str]) -> NotFoundError:
    """Return the error of an asset that is not published, with the nearest that is."""
    from geobatch.model.suggest import suggestion  # noqa: PLC0415

    hint = suggestion(asset, ids) or "`geobatch ls` lists the assets"
    return NotFoundError(f"no asset `{asset}` is published", hint=hint)


def _absolute(path: Path) -> Path:
    return Path(os.path.abspath(path))  # noqa: PTH100 - links are left as they are
