"""What headers tell of choices that are seldom meant: warnings of a plan."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from geobatch.errors import Problem
from geobatch.model.asset import Band
from geobatch.model.header import Header
from geobatch.spec import BandSpec, ImageSpec, Loc, SourceFile
from geobatch.spec.hints import show
from geobatch.spec.lint import categorical_warning, is_class_like, warning


def band_warnings(
    spec: ImageSpec, number: int, declared: BandSpec, band: Band
) -> Iterator[Problem]:
    """Yield a warning where a band of classes is left to MEAN, the default.

    A palette tells, or the name of a band of integers; how many values there are would have to be
    read.
    """
    if declared.pyramiding_policy or spec.pyramiding_policy or band.is_float:
        return
    loc: Loc = ("bands", number, "id") if spec.bands is not None else ("tilesets",)
    if band.palette is not None:
        yield from categorical_warning(spec, loc, band.id, "has a colour table")
    elif is_class_like(band.id):
        yield from categorical_warning(spec, loc, band.id, "is named like one of classes")
    elif band.description is not None and is_class_like(band.description):
        why = f"is described as {show(band.description)}"
        yield from categorical_warning(spec, loc, band.id, why)


def source_warnings(
    spec: ImageSpec, tileset: int, files: Sequence[SourceFile], headers: Sequence[Header]
) -> Iterator[Problem]:
    """Yield warnings about the first file of each source: lossy pixels, and nodata that is none."""
    told: set[int] = set()
    for file, header in zip(files, headers, strict=True):
        if file.source in told:
            continue
        told.add(file.source)
        loc = ("tilesets", tileset, "sources", file.source, "uris", file.uri_index)
        if header.is_lossy:
            message = (
                f"{show(file.uri)} is compressed with {header.compression}, which loses information"
            )
            hint = "ingest the original, if there is one"
            yield from warning(spec, loc, "lossy-source", message, hint)
        text = header.nodata_text
        if text is not None and header.nodata[0] is None and not _is_decided(spec, tileset):
            message = (
                f"the nodata of {show(file.uri)} is {show(text)}, which no pixel of type"
                f" {header.dtypes[0].upper()} can be, so it masks nothing"
            )
            hint = "declare `missing_data`, with `values: []` if nothing is missing"
            yield from warning(spec, loc, "nodata-outside-type", message, hint)


def missing_warning(
    spec: ImageSpec, loc: Loc, value: float, *, band: str, dtype: str
) -> Iterator[Problem]:
    """Yield a warning about a missing value that is none of its band: it masks nothing."""
    message = f"`{value}` is not a value of band {show(band)}, which is {dtype.upper()}"
    hint = "no pixel can equal it: leave it away, or declare a wider `data_type`"
    yield from warning(spec, loc, "nodata-outside-type", message, hint)


def _is_decided(spec: ImageSpec, tileset: int) -> bool:
    """Return whether the spec says which values are missing, in every band of a tileset."""
    name = spec.tilesets[tileset].id
    bands = [band for band in spec.bands or () if band.tileset_id == name]
    is_by_band = bool(bands) and all(band.missing_data is not None for band in bands)
    return is_by_band or spec.missing_data is not None
