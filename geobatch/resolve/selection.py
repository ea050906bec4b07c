"""What specs select within sources: each driver is asked, and its refusals get their positions."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from msgspec import Struct

from geobatch.declare import (
    BandSpec,
    FeatureSpec,
    Loc,
    MaskBandSpec,
    RasterSpec,
    TfrecordSpec,
    TilesetSpec,
    problem,
)
from geobatch.errors import PlanError, SpecError
from geobatch.model.geobox import Crs
from geobatch.model.sources.declared import DeclaredSource
from geobatch.model.sources.probe import Probe
from geobatch.model.sources.selection import FeatureRequest, SourceSelection
from geobatch.model.sources.tfrecord import Feature, channels_of
from geobatch.sources.driver import AnyProbe, SelectionError
from geobatch.sources.registry import driver_named


class _Request(Struct, frozen=True, kw_only=True):
    """What a spec selects within the sources of a tileset, with the positions in the spec."""

    selection: SourceSelection = SourceSelection()
    """For the drivers."""
    locs: tuple[Loc, ...] = ()
    """Of each feature."""


_NOTHING = _Request()


def select(
    spec: RasterSpec,
    files: Sequence[Sequence[DeclaredSource]],
    probes: Sequence[Sequence[AnyProbe]],
    read_crs: Callable[[str], Crs],
) -> list[list[Probe]]:
    """Return the probes of an image, with what its spec selects of them.

    Args:
        spec: The image.
        files: Its files, per tileset.
        probes: Their states, likewise.
        read_crs: Returns the CRS that a text names.

    Raises:
        SpecError: The spec selects what is not possible, or from sources without features.
        SourceError: A source lacks what the spec selects.
        PlanError: Sources of one tileset differ in their features.
    """
    return [
        _select(spec, number, named, states, read_crs)
        for number, (named, states) in enumerate(zip(files, probes, strict=True))
    ]


def feature_index(spec: RasterSpec, number: int, features: Sequence[Feature]) -> int:
    """Return the index, in its tileset, of the feature that a band names.

    Raises:
        SpecError: The feature makes several bands.
    """
    name = (spec.bands or ())[number].feature
    indexes = [i for i, (feature, _) in enumerate(channels_of(features)) if feature.name == name]
    if len(indexes) > 1:
        raise _error(
            spec,
            ("bands", number, "feature"),
            f"`{name}` has {len(indexes)} values per pixel, one band each",
            "name it in `tfrecord: {features: [...]}`, and select bands by `tileset_band_index`",
        )
    return indexes[0]


def _select(
    spec: RasterSpec,
    number: int,
    files: Sequence[DeclaredSource],
    probes: Sequence[AnyProbe],
    read_crs: Callable[[str], Crs],
) -> list[Probe]:
    drivers = [driver_named(probe.driver) for probe in probes]
    has_features = any(driver.has_features for driver in drivers)
    request = _request(spec, number) if has_features else _NOTHING
    sources = spec.tilesets[number].sources
    found = []
    for file, probe, driver in zip(files, probes, drivers, strict=True):
        transform = sources[file.source].affine_transform
        try:
            made = driver.select(probe, request.selection, transform=transform, read_crs=read_crs)
        except SelectionError as error:
            loc: Loc = ("tilesets", number, "sources")
            if error.feature in request.selection.features:
                loc = request.locs[request.selection.features.index(error.feature)]
            raise _error(spec, loc, error.message, error.hint) from None
        found.append(made)
    if not drivers[0].has_features:
        _check_plain(spec, number)
    _check_alike(files, found)
    return found


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
                raise _error(spec, loc, message, "add it there, or remove that list")
            wanted.setdefault(part.feature, (FeatureSpec(name=part.feature), loc))
        else:
            if part.feature in wanted and part.feature != list(wanted)[-1]:
                message = f"the mask `{part.feature}` is listed before other features"
                raise _error(spec, loc, message, "list it last in `features`, or remove it")
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
        raise _error(spec, locs[0], message, "remove the key")


def _check_alike(files: Sequence[DeclaredSource], found: Sequence[Probe]) -> None:
    """Check that the sources of a tileset have the same features."""
    first = found[0].features
    for file, other in zip(files, found, strict=True):
        if first != other.features:
            raise PlanError(
                f"sources of one tileset differ in their features: `{files[0].uri}` has"
                f" {_shown(first)}, `{file.uri}` has {_shown(other.features)}",
                hint="put them into separate tilesets",
            )


def _shown(features: Sequence[Feature]) -> str:
    shown = (
        f"`{one.name}` ({one.dtype.upper()}, {one.depth} per pixel, margin {one.margin[1]} x"
        f" {one.margin[0]})"
        for one in features
    )
    return ", ".join(shown) or "none, because it is not in TFRecord files"


def _error(spec: RasterSpec, loc: Loc, message: str, hint: str) -> SpecError:
    """Return the error for a wrong selection of features."""
    return SpecError((problem(spec, loc, "feature", message, hint),))
