"""The pictures of a report: of the assets that a reviewer should see first, within a budget."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct

from geobatch import sources
from geobatch.errors import GeobatchError
from geobatch.model.published import AssetRecord
from geobatch.review.pictures.colours import Stretch
from geobatch.review.pictures.pictures import BandPictures, asset_pictures
from geobatch.review.pictures.pixels import View
from geobatch.review.pictures.states import States
from geobatch.review.report import ReportedAsset
from geobatch.review.tiles import ChangedTiles

ASSETS = 24
"""Assets with pictures and maps."""
BANDS = 3
"""Bands of an asset with pictures."""
MOST_BYTES = 16_000_000
"""Bytes of all PNG files."""


class Shown(Struct, frozen=True, kw_only=True):
    """The pictures of a band as PNG files."""

    name: str
    """Ids of the bands."""
    view: View
    """What they show."""
    is_whole: bool
    """Whether they show the whole image."""
    pictures: tuple[tuple[str, bytes], ...]
    """Title and PNG file of each."""
    stretch: Stretch | None
    """Values that are black and white."""
    scale: float | None
    """Difference that has the full colour."""
    is_class: bool
    """Whether values are classes."""

    @property
    def has_difference(self) -> bool:
        """Whether one of them shows a difference."""
        return any(title == "difference" for title, _ in self.pictures)


class Album(Struct, frozen=True, kw_only=True):
    """All pictures of a report."""

    assets: dict[str, tuple[Shown, ...]] = {}
    """Pictures by asset id."""
    note: str = ""
    """Why there are no pictures, or not all."""


def pictured(assets: Sequence[ReportedAsset]) -> tuple[ReportedAsset, ...]:
    """Return the assets that have maps and pictures."""
    return tuple(one for one in assets if one.actions != ("blocked",) and not one.is_table)[:ASSETS]


def album_of(
    assets: Sequence[ReportedAsset], states: States, tiles: Mapping[str, ChangedTiles]
) -> Album:
    """Return the pictures of some assets, until they are too many bytes."""
    found: dict[str, tuple[Shown, ...]] = {}
    notes = [states.note] if states.note else []
    left = MOST_BYTES
    for asset in assets:
        try:
            shown = _shown(asset, states, tiles.get(asset.id))
        except GeobatchError as error:  # a report says what is damaged and goes on
            notes.append(f"{asset.id}: {error.message}.")
            continue
        left -= sum(len(png) for one in shown for _, png in one.pictures)
        if left < 0:
            notes.append("Pictures of further assets are omitted.")
            break
        found[asset.id] = shown
    return Album(assets=found, note=" ".join(notes))


def _shown(asset: ReportedAsset, states: States, tiles: ChangedTiles | None) -> tuple[Shown, ...]:
    records = _records(asset, states)
    if not records or not (asset.work.compute or asset.work.remove):
        return ()
    image = records[-1][1].image
    wanted = (tiles.bands() if tiles is not None else ()) or tuple(one.id for one in image.bands)
    published = {band.id for band in image.bands}
    shown: list[Shown] = []
    for grid in image.grids:
        bands = [
            name for name in wanted if name in published and image.band(name).grid == grid.name
        ]
        same = next((one for one in asset.grids if one.name == grid.name), None)
        is_same = (
            same is not None
            and (same.height, same.width) == grid.geobox.shape
            and same.transform == grid.geobox.transform
        )
        box = tiles.box(same) if tiles is not None and same is not None and is_same else None
        lowest = tiles.lowest(bands) if tiles is not None and box is not None else 0
        found = asset_pictures(
            states.store, records, bands=bands, box=box, lowest=lowest, most=BANDS - len(shown)
        )
        shown += [_encoded(one) for one in found]
    return tuple(shown)


def _records(asset: ReportedAsset, states: States) -> list[tuple[str, AssetRecord]]:
    old = states.old(asset.id, asset.previous_id)
    new = states.new(asset.id)
    title = "deleted" if asset.actions[0] == "delete" else "before"
    return [
        *([(title, old)] if old is not None else []),
        *([("after", new)] if new is not None else []),
    ]


def _encoded(one: BandPictures) -> Shown:
    return Shown(
        name=one.name,
        view=one.view,
        is_whole=one.view.window.shape == one.shape,
        pictures=tuple(
            (picture.title, sources.encode_png(picture.pixels)) for picture in one.pictures
        ),
        stretch=one.stretch,
        scale=one.scale,
        is_class=one.is_class,
    )
