"""Folders of this computer for stores in buckets: caches and temporary files, never needed."""

from __future__ import annotations

from pathlib import Path

from platformdirs import user_cache_path


def workspace_of(store_id: str) -> Path:
    """Return the folder for caches and temporary files of a store; it may be deleted at any time.

    Args:
        store_id: Uuid of the store.
    """
    return user_workspaces() / store_id


def user_workspaces() -> Path:
    """Return the folder of this user with the folders of all stores."""
    return user_cache_path("geobatch", appauthor=False) / "stores"
