"""Which features of an export are read, and with which layout: by request and first record."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

import numpy as np
from msgspec import Struct
from msgspec.structs import replace

from geobatch.errors import SourceError
from geobatch.model.sources.selection import FeatureRequest, SourceSelection
from geobatch.model.sources.tfrecord import Feature, Mixer
from geobatch.sources.driver import SelectionError
from geobatch.sources.tfrecord.export import ExportProbe
from geobatch.sources.tfrecord.features.missing import missing_feature
from geobatch.sources.tfrecord.features.readings import (
    Reading,
    guessed_kernel,
    reaching,
    readings,
)

KINDS = {"float_list": "float32", "int64_list": "int64", "bytes_list": "uint8"}
"""Pixel type of each kind of values, unless another is declared."""
_FLOATS = {"float32": "FLOAT", "float64": "DOUBLE"}
"""Earth Engine's names of pixel types that are not numpy's in capitals."""
_UNQUOTED = re.compile("[A-Za-z0-9_-]+")


class _Candidate(Struct, frozen=True, kw_only=True):
    """A requested feature, before its layout is decided."""

    wanted: FeatureRequest
    """The request."""
    values: Feature
    """Its name, pixel type and kind."""
    size: int
    """How many values the first record has."""
    patch: tuple[int, int]
    """(rows, columns) of a patch without its margin."""
    fits: tuple[Reading, ...]
    """At least one."""


def select_features(found: ExportProbe, selection: SourceSelection) -> tuple[Feature, ...]:
    """Return the features of an export that are read, in the order of the bands, the mask last.

    Args:
        found: The state of the export.
        selection: What the spec selects.

    Raises:
        SelectionError: The spec requests features in a way that is not possible.
        SourceError: The first record lacks a feature, or its length does not fit a patch.
    """
    wanted = selection.features or (_only_feature(found),)
    every = [_candidate(one, found, selection) for one in wanted]
    fits = reaching([one.fits for one in every], channels=selection.bands)
    return tuple(_decide(one, readings_) for one, readings_ in zip(every, fits, strict=True))


def _only_feature(found: ExportProbe) -> FeatureRequest:
    if len(found.features) != 1:
        names = ", ".join(f"`{name}`" for name in sorted(found.features))
        raise SelectionError(
            None,
            f"the records have {len(found.features)} features: {names}",
            "select bands:  `tfrecord: {features: [...]}`, or `feature` in `bands`",
        )
    (name,) = found.features
    return FeatureRequest(name=name)


def _candidate(
    wanted: FeatureRequest, found: ExportProbe, selection: SourceSelection
) -> _Candidate:
    """Return a feature with every reading of it that the spec allows."""
    if wanted.name not in found.features:
        raise missing_feature(0, wanted.name, list(found.features)).named(found.first)
    kind, size = found.features[wanted.name]
    what = f"`{found.first}`: record 0: feature `{wanted.name}`"
    if kind not in KINDS:
        raise SourceError(f"{what}: expected a patch, got no values")
    dtype = wanted.dtype or selection.dtype or KINDS[kind]
    if kind == "bytes_list":
        itemsize = np.dtype(dtype).itemsize
        if size < 0 or size % itemsize:
            got = "several values" if size < 0 else f"{size} bytes"
            raise SourceError(f"{what}: expected one value of {dtype.upper()} pixels, got {got}")
        size //= itemsize
    columns, rows = selection.kernel_size
    fits = readings(size, patch=found.mixer.patch, margin=(rows, columns))
    if not fits:
        raise _no_patch(what, found.mixer, size, selection.kernel_size)
    if wanted.depth is not None:
        stated = tuple(one for one in fits if one.depth == wanted.depth)
        if not stated:
            message = f"`depth` is {wanted.depth}, but {what} has {size} values: {_either(fits)}"
            raise SelectionError(wanted, message, "declare the `depth` that the records have")
        fits = stated
    elif wanted.is_channels_last is not None:
        fits = tuple(one for one in fits if one.depth > 1) or fits
    elif wanted.is_single:
        fits = tuple(one for one in fits if one.depth == 1) or fits
    return _Candidate(
        wanted=wanted,
        values=Feature(name=wanted.name, dtype=dtype, kind=kind),
        size=size,
        patch=found.mixer.patch,
        fits=fits,
    )


def _decide(found: _Candidate, fits: Sequence[Reading]) -> Feature:
    wanted, name = found.wanted, found.wanted.name
    if len(fits) > 1:
        message = f"`{name}` has {found.size} values per record, which are {_either(fits)}"
        pasted = (f"`{_declaration(wanted, one)}`" for one in fits)
        hint = f"in `tfrecord: {{features: [...]}}`, write {' or '.join(pasted)}"
        if wanted.is_channels_last is None:
            hint += "; use `CHW` instead of `HWC` if the values of one band are adjacent"
        raise SelectionError(wanted, message, hint)
    (reading,) = fits
    if reading.depth > 1 and wanted.is_channels_last is None:
        message = f"`{name}` has {reading.depth} values per pixel, and their order is not declared"
        hint = f"`{{name: {name}, axis_order: HWC}}` if a pixel's values are adjacent, else `CHW`"
        side = guessed_kernel(found.size, found.patch)
        if side is not None and not any(reading.margin):
            hint += f"; or `kernel_size: [{side}, {side}]`, if it is one value and a margin"
        raise SelectionError(wanted, message, hint)
    return replace(
        found.values,
        depth=reading.depth,
        margin=reading.margin,
        is_channels_last=reading.depth > 1 and bool(wanted.is_channels_last),
    )


def _either(fits: Sequence[Reading]) -> str:
    return " or ".join(map(str, fits))


def _declaration(wanted: FeatureRequest, reading: Reading) -> str:
    """Return an entry of `features` that selects a reading."""
    name = wanted.name if _UNQUOTED.fullmatch(wanted.name) else json.dumps(wanted.name)
    named = "" if wanted.dtype is None else _FLOATS.get(wanted.dtype, wanted.dtype.upper())
    dtype = f", data_type: {named}" if named else ""
    order = "CHW" if wanted.is_channels_last is False else "HWC"
    axes = f", axis_order: {order}" if reading.depth > 1 else ""
    return f"{{name: {name}, depth: {reading.depth}{axes}{dtype}}}"


def _no_patch(what: str, mixer: Mixer, values: int, kernel: tuple[int, int]) -> SourceError:
    (rows, cols), (more_cols, more_rows) = mixer.patch, kernel
    expected = f"{rows * cols} values ({cols} x {rows})"
    if more_cols or more_rows:
        padded = (rows + more_rows) * (cols + more_cols)
        expected = f"{padded} values ({cols + more_cols} x {rows + more_rows}) or {expected}"
    side = guessed_kernel(values, mixer.patch)
    shown = "columns, rows" if side is None else f"{side}, {side}"
    hint = f"if patches overlap, declare `tfrecord: {{kernel_size: [{shown}]}}`"
    return SourceError(f"{what}: expected {expected}, got {values}", hint=hint)
