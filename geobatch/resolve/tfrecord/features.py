"""Which features of an export become which bands, by spec, mixer and first record."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from itertools import count

import numpy as np
from msgspec import Struct
from msgspec.structs import replace

from geobatch.declare import (
    BandSpec,
    FeatureSpec,
    Loc,
    MaskBandSpec,
    RasterSpec,
    TfrecordSpec,
    problem,
)
from geobatch.declare.fields.names import is_band_id
from geobatch.errors import SourceError, SpecError
from geobatch.model.sources.probe import ExportProbe
from geobatch.model.sources.tfrecord import Feature, Mixer, channels_of
from geobatch.resolve.tfrecord.readings import Reading, guessed_kernel, reaching, readings
from geobatch.sources.tfrecord.features import missing_feature

KINDS = {"float_list": "float32", "int64_list": "int64", "bytes_list": "uint8"}
"""Pixel type of each kind of values, unless another is declared."""


class _Candidate(Struct, frozen=True, kw_only=True):
    """A requested feature, before its layout is known."""

    wanted: FeatureSpec
    """Its declaration in the spec."""
    loc: Loc
    """Where the spec declares it."""
    values: Feature
    """Its name, pixel type and kind."""
    size: int
    """How many values the first record has."""
    patch: tuple[int, int]
    """(rows, columns) of a patch without its margin."""
    fits: tuple[Reading, ...]
    """At least one."""


def decide_features(found: ExportProbe, spec: RasterSpec, number: int) -> tuple[Feature, ...]:
    """Return the features of an export that are read, in the order of the bands, the mask last.

    Args:
        found: What was found of it.
        spec: The image.
        number: Index of the tileset.

    Raises:
        SpecError: The spec names features in a way that is not possible.
        SourceError: The first record lacks a feature, or its length does not fit a patch.
    """
    every = [_candidate(one, loc, found, spec, number) for one, loc in _wanted(found, spec, number)]
    fits = reaching([one.fits for one in every], channels=_channels(spec, number))
    return tuple(_decide(one, readings_, spec) for one, readings_ in zip(every, fits, strict=True))


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


def feature_index(spec: RasterSpec, number: int, features: Sequence[Feature]) -> int:
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
            f"`{name}` has {len(indexes)} values per pixel, one band each",
            "name it in `tfrecord: {features: [...]}`, and select bands by `tileset_band_index`",
        )
    return indexes[0]


def _wanted(found: ExportProbe, spec: RasterSpec, number: int) -> list[tuple[FeatureSpec, Loc]]:
    """Return the features to read, the mask last, with their positions in the spec."""
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
            raise feature_error(spec, loc, message, "add it there, or remove that list")
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
            message = f"the mask `{mask[1]}` is listed before other features"
            raise feature_error(spec, loc, message, "list it last in `features`, or remove it")
        wanted.setdefault(mask[1], (FeatureSpec(name=mask[1], dtype="uint8"), loc))
    if not wanted:
        if len(found.features) != 1:
            names = ", ".join(f"`{name}`" for name in sorted(found.features))
            raise feature_error(
                spec,
                (*here, "sources"),
                f"the records have {len(found.features)} features: {names}",
                "select bands:  `tfrecord: {features: [...]}`, or `feature` in `bands`",
            )
        (name,) = found.features
        wanted[name] = (FeatureSpec(name=name), here)
    return list(wanted.values())


def _channels(spec: RasterSpec, number: int) -> int:
    """Return how many bands a tileset must have for the indexes that bands name."""
    name = spec.tilesets[number].id
    named = [band for band in spec.bands or () if band.tileset_id == name and not band.feature]
    return max((band.tileset_band_index + 1 for band in named), default=0)


def _candidate(
    wanted: FeatureSpec, loc: Loc, found: ExportProbe, spec: RasterSpec, number: int
) -> _Candidate:
    """Return a feature with every reading of it that the spec allows."""
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
    fits = readings(size, patch=found.mixer.patch, margin=(rows, columns))
    if not fits:
        raise _no_patch(what, found.mixer, size, options)
    if wanted.depth is not None:
        stated = tuple(one for one in fits if one.depth == wanted.depth)
        if not stated:
            message = f"`depth` is {wanted.depth}, but {what} has {size} values: {_either(fits)}"
            hint = "declare the `depth` that the records have"
            raise feature_error(spec, loc, message, hint)
        fits = stated
    elif wanted.axis_order is not None:
        fits = tuple(one for one in fits if one.depth > 1) or fits
    elif _is_single(wanted.name, spec, number):
        fits = tuple(one for one in fits if one.depth == 1) or fits
    return _Candidate(
        wanted=wanted,
        loc=loc,
        values=Feature(name=wanted.name, dtype=dtype, kind=kind),
        size=size,
        patch=found.mixer.patch,
        fits=fits,
    )


def _is_single(name: str, spec: RasterSpec, number: int) -> bool:
    """Return whether a band or a mask names a feature, which must be one value per pixel then."""
    tileset = spec.tilesets[number].id
    users: tuple[BandSpec | MaskBandSpec, ...] = (*(spec.bands or ()), *spec.mask_bands)
    return any(user.feature == name and user.tileset_id == tileset for user in users)


def _decide(found: _Candidate, fits: Sequence[Reading], spec: RasterSpec) -> Feature:
    wanted, name = found.wanted, found.wanted.name
    if len(fits) > 1:
        message = f"`{name}` has {found.size} values per record, which are {_either(fits)}"
        pasted = (f"`{_declaration(wanted, one)}`" for one in fits)
        hint = f"in `tfrecord: {{features: [...]}}`, write {' or '.join(pasted)}"
        if wanted.axis_order is None:
            hint += "; use `CHW` instead of `HWC` if the values of one band are adjacent"
        raise feature_error(spec, found.loc, message, hint)
    (reading,) = fits
    if reading.depth > 1 and wanted.axis_order is None:
        message = f"`{name}` has {reading.depth} values per pixel, and their order is not declared"
        hint = f"`{{name: {name}, axis_order: HWC}}` if a pixel's values are adjacent, else `CHW`"
        side = guessed_kernel(found.size, found.patch)
        if side is not None and not any(reading.margin):
            hint += f"; or `kernel_size: [{side}, {side}]`, if it is one value and a margin"
        raise feature_error(spec, found.loc, message, hint)
    return replace(
        found.values,
        depth=reading.depth,
        margin=reading.margin,
        is_channels_last=reading.depth > 1 and wanted.axis_order == "HWC",
    )


def _either(fits: Sequence[Reading]) -> str:
    return " or ".join(map(str, fits))


def _declaration(wanted: FeatureSpec, reading: Reading) -> str:
    """Return an entry of `features` that selects a reading."""
    from geobatch.declare.text.written import TYPE_NAMES  # noqa: PLC0415 - loads pydantic, for an error

    name = wanted.name if is_band_id(wanted.name) else json.dumps(wanted.name)
    dtype = f", data_type: {TYPE_NAMES[wanted.dtype]}" if wanted.dtype else ""
    order = wanted.axis_order or "HWC"
    axes = f", axis_order: {order}" if reading.depth > 1 else ""
    return f"{{name: {name}, depth: {reading.depth}{axes}{dtype}}}"


def _no_patch(what: str, mixer: Mixer, values: int, options: TfrecordSpec) -> SourceError:
    (rows, cols), (more_cols, more_rows) = mixer.patch, options.kernel_size
    expected = f"{rows * cols} values ({cols} x {rows})"
    if more_cols or more_rows:
        padded = (rows + more_rows) * (cols + more_cols)
        expected = f"{padded} values ({cols + more_cols} x {rows + more_rows}) or {expected}"
    side = guessed_kernel(values, mixer.patch)
    kernel = "columns, rows" if side is None else f"{side}, {side}"
    hint = f"if patches overlap, declare `tfrecord: {{kernel_size: [{kernel}]}}`"
    return SourceError(f"{what}: expected {expected}, got {values}", hint=hint)


def feature_error(spec: RasterSpec, loc: Loc, message: str, hint: str) -> SpecError:
    """Return the error for a wrong declaration of features."""
    return SpecError((problem(spec, loc, "feature", message, hint),))
