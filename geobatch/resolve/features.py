"""Which features of an export become which bands, decided by spec, mixer and first record."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import count
from math import isqrt

import numpy as np
from msgspec.structs import replace

from geobatch.errors import SourceError, SpecError
from geobatch.model.records import Feature, Mixer, channels_of
from geobatch.resolve.shards import Found
from geobatch.spec import FeatureSpec, ImageSpec, Loc, TfrecordSpec, problem
from geobatch.spec.names import is_band_id
from geobatch.tfrecord.features import missing_feature

KINDS = {"float_list": "float32", "int64_list": "int64", "bytes_list": "uint8"}
"""Pixel type of each kind of values, unless another is declared."""


def decide_features(found: Found, spec: ImageSpec, number: int) -> tuple[Feature, ...]:
    """Return the features of an export that are read, in the order of the bands, the mask last.

    Args:
        found: What was found of it.
        spec: The image.
        number: Index of the tileset.

    Raises:
        SpecError: The spec names features in a way that cannot be.
        SourceError: The first record lacks a feature, or holds it in a length that no patch has.
    """
    return tuple(
        _decide(wanted, loc, found, spec, number) for wanted, loc in _wanted(found, spec, number)
    )


def free_name(features: Sequence[Feature], index: int, taken: Iterable[str]) -> str:
    """Return a name for a band that the spec does not name: its feature's, else `b1`, `b2`, ...

    Args:
        features: Of the tileset; empty for TIFFs.
        index: The band's index in it.
        taken: Names of the bands before it.
    """
    folded = {name.casefold() for name in taken}
    if features:
        feature, channel = channels_of(features)[index]
        name = feature.name if feature.depth == 1 else f"{feature.name}_{channel + 1}"
        if name.casefold() not in folded and is_band_id(name):
            return name
    return next(name for n in count(1) if (name := f"b{n}") not in folded)


def feature_index(spec: ImageSpec, number: int, features: Sequence[Feature]) -> int:
    """Return the index, in its tileset, of the feature that a band names.

    Raises:
        SpecError: The feature makes several bands.
    """
    name = (spec.bands or ())[number].feature
    indexes = [i for i, (feature, _) in enumerate(channels_of(features)) if feature.name == name]
    if len(indexes) > 1:
        raise feature_error(
            spec,
            ("bands", number, "feature"),
            f"`{name}` has {len(indexes)} values per pixel: a band each",
            "name it in `tfrecord: {features: [...]}`, and bands by `tileset_band_index`",
        )
    return indexes[0]


def _wanted(found: Found, spec: ImageSpec, number: int) -> list[tuple[FeatureSpec, Loc]]:
    """Return the features to read, the mask last, with where the spec speaks of them."""
    tileset = spec.tilesets[number]
    here: Loc = ("tilesets", number)
    declared = tileset.tfrecord.features if tileset.tfrecord is not None else ()
    wanted: dict[str, tuple[FeatureSpec, Loc]] = {
        one.name: (one, (*here, "tfrecord", "features", index))
        for index, one in enumerate(declared)
    }
    for index, band in enumerate(spec.bands or ()):
        if band.tileset_id != tileset.id or band.feature is None:
            continue
        loc: Loc = ("bands", index, "feature")
        if declared and band.feature not in wanted:
            message = f"`{band.feature}` is not among the `features` of the tileset"
            raise feature_error(spec, loc, message, "add it there, or leave that list away")
        wanted.setdefault(band.feature, (FeatureSpec(name=band.feature), loc))
    mask = next(
        (
            (index, mask.feature)
            for index, mask in enumerate(spec.mask_bands)
            if mask.tileset_id == tileset.id and mask.feature is not None
        ),
        None,
    )
    if mask is not None:
        loc = ("mask_bands", mask[0], "feature")
        if mask[1] in wanted and mask[1] != list(wanted)[-1]:
            message = f"the mask `{mask[1]}` stands before other features"
            raise feature_error(spec, loc, message, "name it last in `features`, or not at all")
        wanted.setdefault(mask[1], (FeatureSpec(name=mask[1], dtype="uint8"), loc))
    if not wanted:
        if len(found.features) != 1:
            names = ", ".join(f"`{name}`" for name in sorted(found.features))
            raise feature_error(
                spec,
                (*here, "sources"),
                f"the records have {len(found.features)} features: {names}",
                "say which ones make bands: `tfrecord: {features: [...]}`, or `feature` in `bands`",
            )
        (name,) = found.features
        wanted[name] = (FeatureSpec(name=name), here)
    return list(wanted.values())


def _decide(wanted: FeatureSpec, loc: Loc, found: Found, spec: ImageSpec, number: int) -> Feature:
    tileset = spec.tilesets[number]
    options = tileset.tfrecord or TfrecordSpec()
    if wanted.name not in found.features:
        raise missing_feature(found.first, 0, wanted.name, list(found.features))
    kind, size = found.features[wanted.name]
    what = f"`{found.first}`: record 0: feature `{wanted.name}`"
    if kind not in KINDS:
        raise SourceError(f"{what}: expected a patch, got no values")
    dtype = wanted.dtype or options.dtype or tileset.dtype or KINDS[kind]
    if kind == "bytes_list":
        itemsize = np.dtype(dtype).itemsize
        if size < 0 or size % itemsize:
            got = "several values" if size < 0 else f"{size} bytes"
            raise SourceError(f"{what}: expected one value of {dtype.upper()} pixels, got {got}")
        size //= itemsize
    columns, rows = options.kernel_size
    feature = _fit(found.mixer, size, margin=(rows, columns))
    if feature is None:
        raise _no_patch(what, found.mixer, size, options)
    if feature.depth > 1 and wanted.is_channels_last is None:
        message = f"`{wanted.name}` has {feature.depth} values per pixel, in an order not declared"
        hint = f"`{{name: {wanted.name}, axis_order: HWC}}` if they stand together, else `CHW`"
        raise feature_error(spec, loc, message, hint)
    return replace(
        feature,
        name=wanted.name,
        dtype=dtype,
        kind=kind,
        is_channels_last=feature.depth > 1 and bool(wanted.is_channels_last),
    )


def _fit(mixer: Mixer, values: int, *, margin: tuple[int, int]) -> Feature | None:
    """Return how a number of values is a patch: whole before cropped, one band before several."""
    (rows, cols), blank = mixer.patch, Feature(name="", dtype="")
    padded = (rows + margin[0]) * (cols + margin[1])
    for pixels, cut in ((padded, margin), (rows * cols, (0, 0))):
        if values == pixels:
            return replace(blank, margin=cut)
    for pixels, cut in ((padded, margin), (rows * cols, (0, 0))):
        if values and values % pixels == 0:
            return replace(blank, margin=cut, depth=values // pixels)
    return None


def _no_patch(what: str, mixer: Mixer, values: int, options: TfrecordSpec) -> SourceError:
    (rows, cols), (more_cols, more_rows) = mixer.patch, options.kernel_size
    expected = f"{rows * cols} values ({cols} x {rows})"
    if more_cols or more_rows:
        padded = (rows + more_rows) * (cols + more_cols)
        expected = f"{padded} values ({cols + more_cols} x {rows + more_rows}) or {expected}"
    hint = "if patches overlap, declare `tfrecord: {kernel_size: [columns, rows]}`"
    side = isqrt(values)
    if rows == cols and side * side == values and side > rows:
        hint = hint.replace("columns, rows", f"{side - cols}, {side - rows}")
    return SourceError(f"{what}: expected {expected}, got {values}", hint=hint)


def feature_error(spec: ImageSpec, loc: Loc, message: str, hint: str) -> SpecError:
    """Return the error for a wrong word about features."""
    return SpecError((problem(spec, loc, "feature", message, hint),))
