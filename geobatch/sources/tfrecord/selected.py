"""Exports as sources: with the features that a spec selects, and a header like that of a TIFF."""

from __future__ import annotations

from collections.abc import Callable

from geobatch.model.geobox import Crs, Transform
from geobatch.model.sources.header import header_of_pixels
from geobatch.model.sources.probe import Probe
from geobatch.model.sources.selection import SourceSelection
from geobatch.model.sources.tfrecord import Records, channels_of
from geobatch.sources.naming import Named, UnnamedError
from geobatch.sources.tfrecord.export import ExportProbe
from geobatch.sources.tfrecord.features.selection import select_features
from geobatch.sources.tfrecord.mixer import mixer_crs, mixer_transform


def select_from_export(
    found: ExportProbe,
    selection: SourceSelection,
    *,
    transform: Transform | None,
    read_crs: Callable[[str], Crs],
) -> Probe:
    """Return an export as a source, before its pixels are read.

    Args:
        found: The export.
        selection: What the spec selects. A CRS that it declares overrides that of the mixer.
        transform: The transform that the spec declares; it overrides that of the mixer.
        read_crs: Returns the CRS that a text names.

    Raises:
        SelectionError: The spec requests features in a way that is not possible.
        SourceError: The mixer or the first record does not say what it should.
    """
    mixer, file = found.mixer, found.mixer_file
    with Named(file.uri):
        crs = None if selection.has_crs else _crs(found, read_crs)
        if transform is None:
            transform = mixer_transform(found.mixer_text)
    features = select_features(found, selection)
    header = header_of_pixels(
        uri=file.uri,
        path=file.path,
        size=mixer.size,
        dtypes=tuple(feature.dtype for feature, _ in channels_of(features)),
        block=mixer.patch,
        transform=transform,
        crs=crs,
    )
    return Probe(
        header=header,
        digest=found.digest,
        stat=file.stat,
        records=Records(
            shards=found.shards,
            mixer=mixer,
            features=features,
            has_local_mixer=file.pinned is None,
        ),
        driver=found.driver,
    )


def _crs(found: ExportProbe, read_crs: Callable[[str], Crs]) -> Crs:
    """Return the CRS that a mixer names."""
    try:
        return read_crs(mixer_crs(found.mixer_text))
    except ValueError as error:
        hint = "give `crs` to the tileset in the spec"
        raise UnnamedError(str(error), hint=hint) from None
