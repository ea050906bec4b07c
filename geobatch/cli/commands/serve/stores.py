"""The store that `serve` and `site` read: the argument, or `--store`; no optional library yet."""

from __future__ import annotations

from importlib.util import find_spec

from msgspec.structs import replace

from geobatch.cli.settings import Settings
from geobatch.cli.stores import require_store
from geobatch.errors import SourceError
from geobatch.extras import install_hint


def named_store(settings: Settings, store: str | None) -> Settings:
    """Return the settings with the store that the command names; check that it is there.

    Raises:
        NoStoreError: There is no store.
        SourceError: A library is missing.
    """
    if any(find_spec(name) is None for name in ("starlette", "uvicorn")):
        raise SourceError("this requires starlette and uvicorn", hint=install_hint("serve"))
    if store is not None:
        settings = replace(settings, store_text=store, _parsed=[])
    require_store(settings)
    return settings
