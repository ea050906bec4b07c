"""What specs select within sources: each driver is asked, and refuses what is not possible."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from msgspec import Struct

from geobatch.declare import (
    BandSpec,
    FeatureSpec,
    Loc,
    MaskBandSpec,
    RasterSpec,
    SourceSpec,
    TfrecordSpec,
    TilesetSpec,
)
from geobatch.declare.hints import show
from geobatch.errors import PlanError
from geobatch.model.geobox import Crs
from geobatch.model.sources.declared import DeclaredSource
from geobatch.model.sources.probe import Probe
from geobatch.model.sources.selection import FeatureRequest, SourceSelection
from geobatch.model.sources.tfrecord import Feature
from geobatch.resolve.notes import RefusalError
from geobatch.sources.driver import AnyProbe, Driver, SelectionError


class ProbedSource(Struct, frozen=True, kw_only=True):
    """A source of a tileset as it was probed, with what its spec selects of it."""

    file: DeclaredSource
    """Its files, as the spec names them."""
    declared: SourceSpec
    """What the spec declares of it."""
    probe: Probe
    """Its state."""
    driver: Driver
    """What reads it."""
    loc: Loc
    """Position in the spec of the uri that names it."""

    @property
    def shown(self) -> str:
        """Its uri, as messages show it."""
        return show(self.file.uri)


class _Request(Struct, frozen=True, kw_only=True):
    """What a spec selects within the sources of a tileset, with the positions in the spec."""

    selection: SourceSelection = SourceSelection()
    """For the drivers."""
    locs: tuple[Loc, ...] = ()
    """Of each feature."""


_NOTHING = _Request()


def select_sources(
    spec: RasterSpec,
    files: Sequence[Sequence[DeclaredSource]],
    probes: Sequence[Sequence[AnyProbe]],
    drivers: Sequence[Sequence[Driver]],
    read_crs: Callable[[str], Crs],
) -> list[tuple[ProbedSource, ...]]:
    """Return the sources of each tileset of an image, with what its spec selects of them.

    Args:
        spec: The image.
        files: Its files, per tileset.
        probes: Their states, likewise.
        drivers: The driver of each, likewise.
        read_crs: Returns the CRS that a text names.

    Raises:
        RefusalError: The spec selects what is not possible, or from sources without features.
        SourceError: A source lacks what the spec selects.
        PlanError: Sources of one tileset differ in their features.
    """
    return [
        _select(spec, number, list(zip(*parts, strict=True)), read_crs)
        for number, parts in enumerate(zip(files, probes, drivers, strict=True))
    ]


def _select(
    spec: RasterSpec,
    number: int,
    probed: Sequence[tuple[DeclaredSource, AnyProbe, Driver]],
    read_crs: Callable[[str], Crs],
) -> tuple[ProbedSource, ...]:
    """Return the sources of a tileset.

    Args:
        spec: The image.
        number: Position of the tileset.
        probed: Its files, each with its state and its driver.
        read_crs: Returns the CRS that a text names.
    """
    has_features = any(driver.has_features for _, _, driver in probed)
    request = _request(spec, number) if has_features else _NOTHING
    sources = spec.tilesets[number].sources
    found = []
    for file, probe, driver in probed:
        declared = sources[file.source]
        transform = declared.affine_transform
        try:
            made = driver.select(probe, request.selection, transform=transform, read_crs=read_crs)
        except SelectionError as error:
            loc: Loc = ("tilesets", number, "sources")
            if error.feature in request.selection.features:
                loc = request.locs[request.selection.features.index(error.feature)]
            raise RefusalError(loc, "feature", error.message, error.hint) from None
        found.append(
            ProbedSource(
                file=file,
                declared=declared,
                probe=made,
                driver=driver,
                loc=("tilesets", number, "sources", file.source, "uris", file.uri_index),
            )
        )
    if not found[0].driver.has_features:
        _check_plain(spec, number)
    _check_alike(found)
    return tuple(found)


def _request(spec: RasterSpec, number: int) -> _Request:
    """Return the features to read, the mask last."""
    tileset = spec.tilesets[number]
    options = tileset.tfrecord or TfrecordSpec()
    wanted: dict[str, tuple[FeatureSpec, Loc]] = {
        one.name: (one, ("tilesets", number, "tfrecord", "features", index))
        for index, one in enumerate(options.features)
    }
    for loc, part in _named(spec, tileset):
        if part.feature is None:
            continue
        if isinstance(part, BandSpec):
            if options.features and part.feature not in wanted:
                message = f"`{part.feature}` is not among the `features` of the tileset"
                hint = "add it there, or remove that list"
                raise RefusalError(loc, "feature", message, hint)
            wanted.setdefault(part.feature, (FeatureSpec(name=part.feature), loc))
        else:
            if part.feature in wanted and part.feature != list(wanted)[-1]:
                message = f"the mask `{part.feature}` is listed before other features"
                hint = "list it last in `features`, or remove it"
                raise RefusalError(loc, "feature", message, hint)
            mask = FeatureSpec(name=part.feature, dtype="uint8")
            wanted.setdefault(part.feature, (mask, loc))
            break  # the last feature of a tileset is its mask, so there is one
    # A band or a mask that names a feature needs one value per pixel.
    single = {part.feature for _, part in _named(spec, tileset)}
    return _Request(
        selection=SourceSelection(
            features=tuple(
                FeatureRequest(
                    name=one.name,
                    dtype=one.dtype,
                    is_channels_last=None if one.axis_order is None else one.axis_order == "HWC",
                    depth=one.depth,
                    is_single=one.name in single,
                )
                for one, _ in wanted.values()
            ),
            kernel_size=options.kernel_size,
            dtype=options.dtype or tileset.dtype,
            bands=_bands(spec, tileset),
            has_crs=tileset.crs is not None,
        ),
        locs=tuple(loc for _, loc in wanted.values()),
    )


def _bands(spec: RasterSpec, tileset: TilesetSpec) -> int:
    """Return how many bands a tileset must have for the indexes that bands name."""
    named = [band for band in spec.bands or () if band.tileset_id == tileset.id]
    return max((band.tileset_band_index + 1 for band in named if not band.feature), default=0)


def _named(spec: RasterSpec, tileset: TilesetSpec) -> list[tuple[Loc, BandSpec | MaskBandSpec]]:
    """Return the bands, then the masks, that name a feature of a tileset, with their positions."""
    every: list[tuple[Loc, BandSpec | MaskBandSpec]] = [
        *((("bands", index, "feature"), band) for index, band in enumerate(spec.bands or ())),
        *((("mask_bands", index, "feature"), mask) for index, mask in enumerate(spec.mask_bands)),
    ]
    return [
        (loc, part)
        for loc, part in every
        if part.tileset_id == tileset.id and part.feature is not None
    ]


def _check_plain(spec: RasterSpec, number: int) -> None:
    """Check that the spec selects no features of sources that have none."""
    tileset = spec.tilesets[number]
    locs: list[Loc] = [] if tileset.tfrecord is None else [("tilesets", number, "tfrecord")]
    locs += [loc for loc, _ in _named(spec, tileset)]
    if locs:
        message = "the sources of this tileset are not TFRecord files"
        raise RefusalError(locs[0], "feature", message, "remove the key")


def _check_alike(found: Sequence[ProbedSource]) -> None:
    """Check that the sources of a tileset have the same features."""
    first = found[0]
    for other in found:
        if first.probe.features != other.probe.features:
            raise PlanError(
                f"sources of one tileset differ in their features: `{first.file.uri}` has"
                f" {_shown(first.probe.features)}, `{other.file.uri}` has"
                f" {_shown(other.probe.features)}",
                hint="put them into separate tilesets",
            )


def _shown(features: Sequence[Feature]) -> str:
    shown = (
        f"`{one.name}` ({one.dtype.upper()}, {one.depth} per pixel, margin {one.margin[1]} x"
        f" {one.margin[0]})"
        for one in features
    )
    return ", ".join(shown) or "none, because it is not in TFRecord files"
