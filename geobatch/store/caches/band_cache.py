"""Bands that a store has made before, by what determines them: in which asset's document they are.

The cache names a document, and the document says what is in the store: it names the fingerprint of
each of its bands, and is compared with its digest. So a wrong cache names no wrong tiles.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from typing import TypeAlias

from geobatch.errors import GeobatchError
from geobatch.format.documents import decode_asset
from geobatch.model.digest import Digest
from geobatch.model.published import AssetRecord, BandTiles, TreeEntry
from geobatch.store.caches.cache import SourceCache
from geobatch.store.objects import Objects

_SAVE_SECONDS = 0.1
"""Seconds between two times that finished bands are saved."""

Peaks: TypeAlias = Mapping[str, int]
"""The highest weight that was read of the masks of an asset's files, by tileset."""
Bands: TypeAlias = Mapping[Digest, tuple[Digest, str, Peaks]]
"""Digest of an asset's document, the id of a band in it, and the asset's peaks, by pyramid
fingerprint."""


def bands_of(entry: TreeEntry, record: AssetRecord, peaks: Peaks) -> Bands:
    """Return where the bands of an asset are whose tiles and document are put."""
    return {found.pyramid: (entry.stored, band, peaks) for band, found in record.fingerprints}


def save_bands(cache: SourceCache, bands: Bands) -> None:
    """Save the bands of a finished asset, published or not: the run after a killed one reuses them.

    They are written soon: a killed run loses what was finished in the last moments.
    """
    cache.put_bands({name: json.dumps(found) for name, found in bands.items()})
    cache.save(every=_SAVE_SECONDS)


def find_bands(
    cache: SourceCache, fingerprints: Iterable[Digest], *, objects: Objects
) -> Mapping[Digest, BandTiles]:
    """Return those bands that were made before and whose document is whole.

    Their pages and tiles may be damaged.
    """
    found = {}
    for fingerprint, text in cache.get_bands(fingerprints).items():
        tiles = _tiles(text, fingerprint, objects)
        if tiles is not None:
            found[fingerprint] = tiles
    return found


def peaks_of(cache: SourceCache, fingerprints: Iterable[Digest]) -> Iterator[Peaks]:
    """Yield the peaks that were saved with bands: only reading the sources shows them."""
    for text in cache.get_bands(fingerprints).values():
        with suppress(ValueError, TypeError):
            _, _, peaks = json.loads(text)
            yield {str(tileset): int(peak) for tileset, peak in dict(peaks).items()}


def _tiles(text: str, fingerprint: Digest, objects: Objects) -> BandTiles | None:
    try:
        document, band, _ = json.loads(text)
        record = decode_asset(objects.get(document))
        if dict(record.fingerprints)[band].pyramid == fingerprint:
            return record.tiles_of(band)
    except (GeobatchError, ValueError, KeyError, TypeError):
        pass
    return None
