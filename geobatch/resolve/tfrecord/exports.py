"""TFRecord exports among the sources of an image: headers like those of TIFFs, and how to read."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from geobatch.declare import BandSpec, Loc, MaskBandSpec, RasterSpec
from geobatch.errors import PlanError, SourceError
from geobatch.model.geobox import Crs
from geobatch.model.sources.declared import DeclaredSource
from geobatch.model.sources.header import header_of_pixels
from geobatch.model.sources.probe import ExportProbe, Probe
from geobatch.model.sources.tfrecord import Feature, Records, channels_of
from geobatch.resolve.tfrecord.features import decide_features, feature_error
from geobatch.sources.driver import AnyProbe
from geobatch.sources.tfrecord.driver import TFRecord
from geobatch.sources.tfrecord.mixer import mixer_crs, mixer_transform


def with_features(
    spec: RasterSpec,
    files: Sequence[Sequence[DeclaredSource]],
    probes: Sequence[Sequence[AnyProbe]],
    read_crs: Callable[[str], Crs],
) -> list[list[Probe]]:
    """Return the probes of an image, those of exports with the features that its spec selects.

    Args:
        spec: The image.
        files: Its files, per tileset.
        probes: Their states, likewise.
        read_crs: Returns the CRS that a text names.

    Raises:
        SpecError: The spec names features in a way that cannot be, or where there are none.
        SourceError: A mixer or a first record does not say what it should.
        PlanError: Sources of one tileset are of two kinds, or have other features.
    """
    found = []
    for number, (named, states) in enumerate(zip(files, probes, strict=True)):
        found.append(
            [
                _decided(probe, spec, (number, file.source), read_crs)
                if isinstance(probe, ExportProbe)
                else probe
                for file, probe in zip(named, states, strict=True)
            ]
        )
        _check_alike(spec, number, named, found[-1])
    return found


def _check_alike(
    spec: RasterSpec, number: int, files: Sequence[DeclaredSource], found: Sequence[Probe]
) -> None:
    """Check that the sources of a tileset are all TIFFs, or have the same features."""
    first = found[0]
    if first.records is None:
        _check_plain(spec, number)
    for file, other in zip(files, found, strict=True):
        if first.features != other.features:
            raise PlanError(
                f"sources of one tileset differ in their features: `{files[0].uri}` has"
                f" {_shown(first.features)}, `{file.uri}` has {_shown(other.features)}",
                hint="put them into separate tilesets",
            )


def _shown(features: Sequence[Feature]) -> str:
    shown = (
        f"`{one.name}` ({one.dtype.upper()}, {one.depth} per pixel, margin {one.margin[1]} x"
        f" {one.margin[0]})"
        for one in features
    )
    return ", ".join(shown) or "none, because it is a TIFF"


def _check_plain(spec: RasterSpec, number: int) -> None:
    """Check that the spec declares no features for a tileset of TIFFs."""
    tileset = spec.tilesets[number]
    locs: list[Loc] = [] if tileset.tfrecord is None else [("tilesets", number, "tfrecord")]
    named: list[tuple[Loc, BandSpec | MaskBandSpec]] = [
        *((("bands", index), band) for index, band in enumerate(spec.bands or ())),
        *((("mask_bands", index), mask) for index, mask in enumerate(spec.mask_bands)),
    ]
    locs += [
        (*loc, "feature")
        for loc, part in named
        if part.tileset_id == tileset.id and part.feature is not None
    ]
    if locs:
        message = "the sources of this tileset are not TFRecord files"
        raise feature_error(spec, locs[0], message, "remove the key")


def _crs(found: ExportProbe, read_crs: Callable[[str], Crs]) -> Crs:
    """Return the CRS that a mixer names."""
    uri = found.mixer_file.uri
    try:
        return read_crs(mixer_crs(found.mixer_text, uri))
    except ValueError as error:
        hint = "give `crs` to the tileset in the spec"
        raise SourceError(f"`{uri}`: {error}", hint=hint) from None


def _decided(
    found: ExportProbe, spec: RasterSpec, position: tuple[int, int], read_crs: Callable[[str], Crs]
) -> Probe:
    """Return an export as a source, before its pixels are read.

    Placement in the spec overrides that in the mixer.

    Args:
        found: The export.
        spec: The image.
        position: Index of the tileset, and of the source in it.
        read_crs: Returns the CRS that a text names.
    """
    mixer, uri = found.mixer, found.mixer_file.uri
    tileset = spec.tilesets[position[0]]
    crs, transform = None, tileset.sources[position[1]].affine_transform
    if tileset.crs is None:
        crs = _crs(found, read_crs)
    if transform is None:
        transform = mixer_transform(found.mixer_text, uri)
    features = decide_features(found, spec, position[0])
    channels = channels_of(features)
    header = header_of_pixels(
        uri=uri,
        path=found.mixer_file.path,
        size=mixer.size,
        dtypes=tuple(feature.dtype for feature, _ in channels),
        block=mixer.patch,
        transform=transform,
        crs=crs,
    )
    records = Records(shards=found.shards, mixer=mixer, features=features)
    return Probe(
        header=header,
        digest=found.digest,
        stat=found.mixer_file.stat,
        records=records,
        driver=TFRecord.name,
    )
