"""Bands that a store has made before: where their tiles are, by what determines them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

from msgspec.structs import asdict

from geobatch.model.asset import Codec
from geobatch.model.asset_json import codec_json
from geobatch.model.digest import Digest, canonical_json
from geobatch.model.record import BandTiles, PageRef
from geobatch.store.cache import SourceCache
from geobatch.store.objects import Objects


def remember_bands(cache: SourceCache, bands: Mapping[Digest, BandTiles]) -> None:
    """Remember published bands, by pyramid fingerprint."""
    cache.put_bands({fingerprint: _to_text(tiles) for fingerprint, tiles in bands.items()})


def known_bands(
    cache: SourceCache, fingerprints: Iterable[Digest], *, objects: Objects
) -> Mapping[Digest, BandTiles]:
    """Return those bands that were made before and whose index pages are still there."""
    found = {}
    for fingerprint, text in cache.get_bands(fingerprints).items():
        tiles = _from_text(text)
        if tiles is not None and all(
            root is None or objects.size(root.stored) == root.size for _, _, root in tiles.arrays
        ):
            found[fingerprint] = tiles
    return found


def _to_text(tiles: BandTiles) -> str:
    arrays = [
        [level, is_mask, None if root is None else asdict(root)]
        for level, is_mask, root in tiles.arrays
    ]
    return canonical_json({"codec": codec_json(tiles.codec), "arrays": arrays}).decode()


def _from_text(text: str) -> BandTiles | None:
    try:
        value = json.loads(text)
        return BandTiles(
            codec=Codec(**value["codec"]),
            arrays=tuple(
                (level, is_mask, None if root is None else PageRef(**root))
                for level, is_mask, root in value["arrays"]
            ),
        )
    except (ValueError, KeyError, TypeError):
        return None
