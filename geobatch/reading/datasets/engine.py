"""xarray's engine `geobatch`: `xr.open_dataset("store", engine="geobatch", asset=...)`."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import xarray as xr
from xarray.backends import BackendEntrypoint

from geobatch.reading.store import open_store
from geobatch.store.identity import IDENTITY


class GeobatchEntrypoint(BackendEntrypoint):
    """Opens a level of an asset of a store, as `Store.dataset` does."""

    description = "Open assets of a geobatch store, masked, scaled and verified"
    url = "https://github.com/geobatch/geobatch"
    open_dataset_parameters = (
        "filename_or_obj", "drop_variables", "asset", "level", "bands", "grid", "at",
        "mask_and_scale",
    )  # fmt: skip

    def open_dataset(  # type: ignore[override]  # xarray's own engines add parameters too
        self,
        filename_or_obj: str | os.PathLike[str],
        *,
        drop_variables: str | Iterable[str] | None = None,
        asset: str | None = None,
        level: int = 0,
        bands: Sequence[str] | None = None,
        grid: str | None = None,
        at: str | int | None = None,
        mask_and_scale: bool = True,
    ) -> xr.Dataset:
        """Return a level of an asset; for the arguments and errors see `Store.dataset`.

        Raises:
            ValueError: No asset is named.
        """
        store = open_store(filename_or_obj)
        if asset is None:
            ids = store.assets(at)
            store.close()
            few = ", ".join(f"`{one}`" for one in ids[:5])
            more = f" and {len(ids) - 5:,} more" if len(ids) > 5 else ""
            raise ValueError(f"name an asset of the store: `asset=...`, one of {few}{more}")
        found = store.dataset(
            asset, level=level, bands=bands, grid=grid, at=at, mask_and_scale=mask_and_scale
        )
        dropped = [drop_variables] if isinstance(drop_variables, str) else (drop_variables or ())
        return found.drop_vars([name for name in dropped if name in found.variables])

    def guess_can_open(self, filename_or_obj: Any) -> bool:
        """Return whether a path is a store; then xarray needs no `engine`."""
        try:
            return Path(filename_or_obj, IDENTITY).is_file()
        except (TypeError, ValueError, OSError):
            return False
