"""STAC API: core, collections and item search."""

from __future__ import annotations

from geobatch.serve.answers.answer import Make
from geobatch.serve.answers.assets import Assets


def routes(assets: Assets) -> list[tuple[str, Make]]:
    """Return the addresses of STAC."""
    del assets
    return []
