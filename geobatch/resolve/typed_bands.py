"""What a spec leaves open of its bands: which there are, their names, types and missing values."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import count
from operator import is_

import numpy as np
from msgspec import Struct
from msgspec.structs import replace

from geobatch.declare import BandSpec, Loc, MaskBandSpec, RasterSpec
from geobatch.declare.checks.lint import categorical_words
from geobatch.declare.fields.names import is_band_id
from geobatch.declare.hints import show
from geobatch.errors import PlanError
from geobatch.model.assets.asset import Number, Policy
from geobatch.model.sources.header import Header
from geobatch.resolve.headers import Mosaic
from geobatch.resolve.notes import Note, RefusalError


class TypedBand(Struct, frozen=True, kw_only=True):
    """A band of which only the masks and the fill value are open."""

    id: str
    """Unique in the asset."""
    tileset: str
    """Id of its tileset."""
    index: int
    """Zero-based index in the tileset's sources."""
    dtype: str
    """Numpy name of its pixel type."""
    policy: Policy
    """How its levels are made."""
    missing: tuple[Number, ...] | None
    """Declared missing values in its dtype; None if none are declared."""
    mask: MaskBandSpec | None
    """The mask band that masks it."""
    notes: tuple[Note, ...] = ()
    """Warnings: missing values that its dtype cannot hold, and classes without a policy."""


def type_headers(spec: RasterSpec, mosaics: Mapping[str, Mosaic]) -> dict[str, Mosaic]:
    """Return the tilesets of an image with nodata and alpha as its bands have them.

    Nodata is in the type of the bands; an alpha band that the spec declares as a band masks
    nothing.

    Args:
        spec: The image.
        mosaics: Its tilesets.
    """
    typed = {}
    for id_, mosaic in mosaics.items():
        typed[id_] = mosaic
        if mosaic.is_used:
            data = {
                band.tileset_band_index
                for band in spec.bands or ()
                if band.tileset_id == id_ and band.feature is None
            }
            dtype = mosaic.declared.dtype
            headers = tuple([_typed_header(header, dtype, data) for header in mosaic.headers])
            if not all(map(is_, headers, mosaic.headers)):
                typed[id_] = replace(mosaic, headers=headers)
    return typed


def type_bands(spec: RasterSpec, mosaics: Mapping[str, Mosaic]) -> list[TypedBand]:
    """Return the bands of an image; by default all that are not masks, named b1, b2, ...

    Args:
        spec: The image.
        mosaics: Its tilesets.

    Raises:
        RefusalError: A band, or one that is named elsewhere in the spec, does not exist.
        PlanError: A declared dtype cannot hold the file's values.
    """
    masks = {id_: mask for mask in spec.mask_bands for id_ in mask.band_ids or ("",)}
    if spec.bands is None:
        bands = list(_default_bands(spec, mosaics))
    else:
        bands = [
            _indexed(number, band, mosaics[band.tileset_id])
            for number, band in enumerate(spec.bands)
        ]
    return [
        _typed(spec, number, band, mosaics[band.tileset_id], masks.get(band.id, masks.get("")))
        for number, band in enumerate(bands)
    ]


def _indexed(number: int, band: BandSpec, mosaic: Mosaic) -> BandSpec:
    """Return a band of the spec with its index in the sources, which have one there."""
    if band.feature is not None:
        features = mosaic.sources[0].probe.features
        position = [feature.name for feature in features].index(band.feature)
        depth = features[position].depth
        if depth > 1:
            raise RefusalError(
                ("bands", number, "feature"),
                "feature",
                f"`{band.feature}` has {depth} values per pixel, one band each",
                "name it in `tfrecord: {features: [...]}`, and select bands by"
                " `tileset_band_index`",
            )
        return replace(band, tileset_band_index=sum(one.depth for one in features[:position]))
    there = mosaic.headers[0].count
    if band.tileset_band_index >= there:
        raise RefusalError(
            ("bands", number, "tileset_band_index"),
            "band-index",
            f"no band with index `{band.tileset_band_index}`: each source has {there}"
            f" band{'' if there == 1 else 's'}",
            f"indexes start at zero: 0 to {there - 1}",
        )
    return band


def _default_bands(spec: RasterSpec, mosaics: Mapping[str, Mosaic]) -> Collection[BandSpec]:
    """Return the bands of all tilesets, without masks and alpha bands that mask."""
    found: dict[str, BandSpec] = {}
    masks = {mask.tileset_id for mask in spec.mask_bands}
    for mosaic in mosaics.values():
        header, source = mosaic.headers[0], mosaic.sources[0]
        alpha = header.alpha_index if _is_alpha_mask(header, spec.missing_data) else None
        names = source.driver.band_names(replace(source.probe, header=header))
        for index in range(header.count):
            is_mask = mosaic.id in masks and index == header.count - 1
            if not is_mask and index != alpha:
                own = names[index] if names else ""
                must_keep = source.driver.keeps_band_names
                name = _band_name(header, index, own, must_keep=must_keep, taken=found)
                band = BandSpec(id=name, tileset_id=mosaic.id, tileset_band_index=index)
                found[name] = band
    if not found:
        raise RefusalError(("tilesets",), "no-bands", "the tilesets have no band except masks")
    names = list(found)
    for loc, band_id in _named(spec):
        if band_id not in found:
            listed = names[0] if len(names) == 1 else f"{names[0]} to {names[-1]}"
            message = f"there is no band `{band_id}`; without `bands`, they are named {listed}"
            raise RefusalError(loc, "unknown-band", message)
    return found.values()


def _named(spec: RasterSpec) -> Iterator[tuple[Loc, str]]:
    """Yield each id of a band that another part of a spec names, with its position."""
    for number, mask in enumerate(spec.mask_bands):
        for position, band_id in enumerate(mask.band_ids):
            yield ("mask_bands", number, "band_ids", position), band_id
    if spec.footprint is not None and spec.footprint.band_id:
        yield ("footprint", "band_id"), spec.footprint.band_id
    for name, members in spec.array_bands:
        for position, band_id in enumerate(members):
            yield ("array_bands", name, position), band_id
    for number, check in enumerate(spec.checks):
        for position, band_id in enumerate(check.bands):
            yield ("checks", number, "bands", position), band_id


def _band_name(
    header: Header, index: int, own: str, *, must_keep: bool, taken: Collection[str]
) -> str:
    """Return a name for a band that the spec does not name: its source's, or `b1`, `b2`, ...

    Args:
        header: The source.
        index: Index of the band in it.
        own: Name that the source has for it; empty for none.
        must_keep: Whether another name would be wrong.
        taken: Names of the bands before it.

    Raises:
        RefusalError: The source's name must be kept, and is not valid for a band, or already used.
    """
    folded = {other.casefold() for other in taken}
    name = own or (f"b{len(taken) + 1}" if must_keep else "")
    is_taken = name.casefold() in folded
    if name and not is_taken and is_band_id(name):
        return name
    if not must_keep:
        return next(name for n in count(1) if (name := f"b{n}") not in folded)
    what = "already used (case is ignored)" if is_taken else "not a valid band id"
    message = f"`{header.uri}` names its band {index + 1} `{name}`, which is {what}"
    hint = f"declare `bands`, as in `[{{id: b{index + 1}, tileset_band_index: {index}}}]`"
    raise RefusalError(("tilesets",), "band-name", message, hint)


def _typed(
    spec: RasterSpec, number: int, band: BandSpec, mosaic: Mosaic, mask: MaskBandSpec | None
) -> TypedBand:
    """Return a band with its type, its policy and its missing values."""
    header, index = mosaic.headers[0], band.tileset_band_index
    dtype = decide_dtype(header, index, mosaic.declared.dtype)
    own = band.missing_data
    declared = spec.missing_data if own is None else own
    loc: Loc = () if own is None else ("bands", number)
    missing: list[Number] = []
    notes: list[Note] = []
    for position, value in enumerate(declared or ()):
        fitting = _fitting(value, dtype, header.dtypes[index])
        if fitting is not None:
            missing.append(fitting)
            continue
        here: Loc = (*loc, "missing_data", "values", position)
        message = f"`{value}` is not a value of band {show(band.id)}, which is {dtype.upper()}"
        hint = "no pixel can equal it: remove it, or declare a wider `data_type`"
        notes.append(Note(here, "nodata-outside-type", message, hint))
    policy = band.pyramiding_policy or spec.pyramiding_policy
    if policy is None and not dtype.startswith("float"):
        words = categorical_words(
            band.id,
            has_palette=header.palettes[index] is not None,
            description=header.descriptions[index],
        )
        if words is not None:
            here = ("tilesets",) if spec.bands is None else ("bands", number, "id")
            notes.append(Note(here, *words))
    return TypedBand(
        id=band.id,
        tileset=mosaic.id,
        index=index,
        dtype=dtype,
        policy=policy or Policy.MEAN,
        missing=None if declared is None else tuple(missing),
        mask=mask,
        notes=tuple(notes),
    )


def decide_dtype(header: Header, index: int, declared: str | None) -> str:
    """Return the dtype of a band: the file's, or the declared one if it holds all its values.

    Byte files may be read as INT8 and the reverse, because TIFF had no such difference for long.

    Raises:
        PlanError: The declared dtype cannot hold the file's values.
    """
    file_dtype = header.dtypes[index]
    if declared is None or declared == file_dtype or {declared, file_dtype} == {"int8", "uint8"}:
        return declared or file_dtype
    if not _holds(declared, file_dtype):
        raise PlanError(
            f"`data_type` {declared.upper()} cannot hold the {file_dtype.upper()} values of"
            f" `{header.uri}`",
            hint="declare a type that holds every value of the file, or remove `data_type`",
        )
    return declared


def _holds(dtype: str, file_dtype: str) -> bool:
    # numpy calls int64 to float64 safe, though there only 53 bits are exact.
    is_rounded = dtype.startswith("float") and file_dtype in {"int64", "uint64"}
    return np.can_cast(file_dtype, dtype, casting="safe") and not is_rounded


def _fitting(value: Number, dtype: str, file_dtype: str) -> Number | None:
    """Return a declared missing value in a band's dtype, or None if the dtype cannot hold it.

    Of floats it is rounded as the file's pixels are: 0.1 is found in a file of 32 bits.
    """
    is_rounded = file_dtype == "float32" and dtype == "float64"
    rounded = in_dtype(value, file_dtype) if is_rounded else None
    return in_dtype(value, dtype) if rounded is None else rounded


def _typed_header(header: Header, dtype: str | None, data: Collection[int]) -> Header:
    """Return a header with its nodata in the type of the bands, and without an alpha that is data.

    Args:
        header: The header.
        dtype: Declared type of the bands; None for the file's own.
        data: Indexes of the bands that the spec declares.
    """
    if header.alpha_index in data:
        mask = None if header.mask == "alpha" else header.mask
        header = replace(header, mask=mask, alpha_index=None, is_premultiplied=False)
    nodata = tuple(
        own_nodata(header, index, dtype or own) for index, own in enumerate(header.dtypes)
    )
    is_same = all(map(is_, nodata, header.nodata))  # `7.0` is another nodata than `7`
    return header if is_same else replace(header, nodata=nodata)


def own_nodata(header: Header, index: int, dtype: str) -> Number | None:
    """Return the nodata of a file's band, in the band's dtype; None without one."""
    value = header.nodata[index]
    is_reinterpreted = {dtype, header.dtypes[index]} == {"int8", "uint8"}
    if value is not None and is_reinterpreted:
        # The pixels are reinterpreted, and so is their nodata.
        return int(np.array([value], dtype=header.dtypes[index]).view(dtype)[0])
    if is_reinterpreted and header.nodata_text is not None:
        # TIFF had no signed bytes for long: the tag may refer to the declared type.
        with suppress(ValueError):
            return in_dtype(int(header.nodata_text), dtype)
    return None if value is None else in_dtype(value, dtype)


def in_dtype(value: Number, dtype: str) -> Number | None:
    """Return a number in a dtype, or None if the dtype cannot hold it."""
    if dtype.startswith("float"):
        with np.errstate(over="ignore"):
            rounded = float(np.dtype(dtype).type(value))
        return None if math.isinf(rounded) and not math.isinf(value) else rounded
    if not math.isfinite(value) or value != int(value):
        return None
    limits = np.iinfo(dtype)
    return int(value) if limits.min <= int(value) <= limits.max else None


def _is_alpha_mask(header: Header, missing: Sequence[Number] | None) -> bool:
    """Return whether an alpha band masks the others: no missing value is in the way."""
    if header.mask != "alpha":
        return False
    if missing is None:
        return header.nodata[0] is None
    return all(in_dtype(value, header.dtypes[0]) is None for value in missing)
