"""Bands: what masks them, by rank, and the value that stands for masked."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from geobatch.errors import PlanError
from geobatch.model.assets.asset import DTYPES, Band, MaskSource, Number, Policy
from geobatch.resolve.image.masks import decide_band
from geobatch.resolve.typed_bands import decide_dtype, in_dtype, own_nodata
from geobatch.sources.geotiff import Header
from geobatch.testing.assets import pixel_values

NONE, VALUES, FILE, BAND = MaskSource.NONE, MaskSource.VALUES, MaskSource.FILE, MaskSource.BAND


def header(
    dtype: str = "uint8",
    *,
    nodata: Number | None = None,
    mask: str | None = None,
    uri: str = "a.tif",
) -> Header:
    """Return the header of a file with one band, and an alpha band if that is its mask."""
    count = 2 if mask == "alpha" else 1
    return Header(
        uri=uri,
        path=f"/{uri}",
        width=8,
        height=8,
        dtypes=(dtype,) * count,
        transform=(1.0, 0.0, 0.0, 0.0, -1.0, 0.0),
        crs=None,
        nodata=(nodata,) * count,
        mask=mask,
        alpha_index=1 if mask == "alpha" else None,
        descriptions=("red",) * count,
        units=("K",) * count,
        scales=(0.1,) * count,
        offsets=(-273.0,) * count,
        palettes=(None,) * count,
        block=(8, 8),
        is_pixel_interleaved=False,
        compression="NONE",
        is_lossy=False,
        overviews=0,
    )


def decide(
    *headers: Header,
    index: int = 0,
    dtype: str | None = None,
    missing: tuple[Number, ...] | None = None,
    mask_tileset: str | None = None,
    has_gaps: bool = False,
) -> Band:
    of_band = dtype or headers[0].dtypes[index]
    typed = [
        replace(one, nodata=tuple(own_nodata(one, n, of_band) for n in range(one.count)))
        for one in headers
    ]
    return decide_band(
        band_id="b",
        grid="g",
        tileset="t",
        index=index,
        headers=typed,
        dtype=of_band,
        policy=Policy.MEAN,
        missing=missing,
        mask_tileset=mask_tileset,
        has_gaps=has_gaps,
    )


# --- rank ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("mask", [None, "internal", "alpha"])
@pytest.mark.parametrize("nodata", [None, 7])
@pytest.mark.parametrize("missing", [None, (), (3, 4)])
@pytest.mark.parametrize("mask_tileset", [None, "m"])
def test_the_highest_source_of_masking_wins(
    mask: str | None,
    nodata: Number | None,
    missing: tuple[Number, ...] | None,
    mask_tileset: str | None,
) -> None:
    masking = decide(
        header(mask=mask, nodata=nodata), missing=missing, mask_tileset=mask_tileset
    ).masking
    ranks = [
        (mask_tileset is not None, BAND, ()),
        (missing == (3, 4), VALUES, (3, 4)),
        (mask == "internal", FILE, ()),
        # `values: []` sets the file's nodata aside, and nothing else.
        (nodata is not None and missing is None, VALUES, (7,)),
        (mask == "alpha", FILE, ()),
        (True, NONE, ()),
    ]
    _, source, values = next(rank for rank in ranks if rank[0])
    assert (masking.source, masking.values) == (source, values)
    assert masking.tileset == mask_tileset
    assert masking.is_partial == (source is BAND or (source is FILE and mask == "alpha"))


def test_the_alpha_band_does_not_mask_itself() -> None:
    band = decide(header(mask="alpha"), index=1)
    assert band.masking.source is NONE
    assert band.mask_from_level is None


# --- what the sources must agree in -------------------------------------------------------------


@pytest.mark.parametrize("pair", [(None, 255), (255, 0)])
def test_unlike_nodata_is_refused_where_it_is_asked(pair: tuple[Number | None, Number]) -> None:
    unlike = [header(nodata=pair[0]), header(nodata=pair[1], uri="b.tif")]
    with pytest.raises(PlanError) as caught:
        decide(*unlike)
    for text in ("`a.tif`", "`b.tif`", f"`{pair[0]}`", f"`{pair[1]}`"):
        assert text in caught.value.message
    assert "missing_data" in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("missing", "mask_tileset", "fill"), [((-9999.0,), None, -9999.0), ((), None, math.nan),
                                          (None, "m", math.nan)],
)  # fmt: skip
def test_unlike_nodata_is_accepted_where_the_spec_goes_before_it(
    missing: tuple[Number, ...] | None, mask_tileset: str | None, fill: float
) -> None:
    unlike = [
        header("float32", nodata=math.nan),
        header("float32", nodata=-9999.0, uri="b.tif"),
        header("float32", uri="c.tif"),
    ]
    for headers in (unlike, unlike[::-1]):
        band = decide(*headers, missing=missing, mask_tileset=mask_tileset)
        assert band.masking.values == (missing or ())
        assert repr(band.fill) == repr(fill)


def test_nan_as_nodata_agrees_with_itself() -> None:
    nans = [header("float32", nodata=float("nan"), uri=uri) for uri in ("a.tif", "b.tif")]
    assert repr(decide(*nans).masking.values) == "(nan,)"


# --- fill ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("mask", [None, "internal"])
@pytest.mark.parametrize(
    ("dtype", "wide", "nodata", "missing", "fill"),
    [
        ("uint8", "uint8", 7, None, 7),
        ("uint8", "uint8", 7, (3, 4), 3),
        ("uint8", "uint8", 7, (), 0),
        ("uint8", "uint8", None, None, 0),
        ("uint8", "int16", None, None, -32768),
        ("uint8", "int16", 7, (), -32768),
        ("uint8", "uint16", None, None, 65535),
        ("int8", "int64", None, None, -(2**63)),
        ("uint32", "uint64", None, None, 2**64 - 1),
        ("uint8", "int8", None, None, 0),
        ("float32", "float32", None, None, math.nan),
        ("float32", "float32", -9999.0, None, -9999.0),
        ("float32", "float32", -9999.0, (), math.nan),
        ("uint8", "float32", None, None, math.nan),
        ("uint8", "float32", 7, None, 7.0),
        ("int16", "float64", 7, (1.5,), 1.5),
    ],
)
def test_the_fill_value(
    *,
    mask: str | None,
    dtype: str,
    wide: str,
    nodata: Number | None,
    missing: tuple[Number, ...] | None,
    fill: Number,
) -> None:
    band = decide(header(dtype, nodata=nodata, mask=mask), dtype=wide, missing=missing)
    assert repr(band.fill) == repr(fill)
    # An internal mask goes before nodata, which then may be the value of a valid pixel.
    is_declared = bool(missing) or (missing is None and nodata is not None and mask is None)
    is_wider = wide != dtype and {wide, dtype} != {"int8", "uint8"} and fill != nodata
    is_nan = math.isnan(fill)
    assert band.masking.is_fill_free == (is_declared or is_wider or is_nan)


FILES = st.sampled_from(DTYPES).flatmap(
    lambda dtype: st.tuples(
        st.just(dtype),
        st.none() | pixel_values(dtype),
        st.sampled_from([None, "internal", "alpha"]),
        st.none() | st.lists(pixel_values(dtype), max_size=3).map(tuple),
        st.none() | st.just("m"),
        st.booleans(),
    )
)


@given(FILES)
def test_no_mask_at_level_0_means_that_fill_tells_all(
    given: tuple[str, Number | None, str | None, tuple[Number, ...] | None, str | None, bool],
) -> None:
    """Whatever is valid and whatever is masked, the fill value alone must tell them apart."""
    dtype, nodata, mask, missing, mask_tileset, has_gaps = given
    band = decide(
        header(dtype, nodata=nodata, mask=mask),
        missing=missing,
        mask_tileset=mask_tileset,
        has_gaps=has_gaps,
    )
    assert in_dtype(band.fill, dtype) is not None
    masking = band.masking
    can_mask = masking.source is not NONE or has_gaps or dtype.startswith("float")
    assert band.can_be_masked == can_mask
    if not can_mask:
        assert band.mask_from_level is None
        return
    is_fill_masked = math.isnan(band.fill) or repr(band.fill) in map(repr, masking.values)
    if band.mask_from_level == 1:
        assert is_fill_masked
        assert not masking.is_partial
    else:
        assert masking.is_partial or masking.source is not VALUES


# --- dtypes -------------------------------------------------------------------------------------


@pytest.mark.parametrize("file_dtype", DTYPES)
@pytest.mark.parametrize("declared", DTYPES)
def test_a_declared_dtype_holds_every_value_or_is_refused(file_dtype: str, declared: str) -> None:
    if {file_dtype, declared} == {"int8", "uint8"}:
        assert decide_dtype(header(file_dtype), 0, declared) == declared
        return
    kind = np.dtype(file_dtype).kind
    if kind == "f":
        info = np.finfo(file_dtype)
        extremes = [float(info.max), float(info.min), float(info.smallest_subnormal)]
        holds = declared.startswith("float") and all(
            float(np.dtype(declared).type(x)) == x for x in extremes if abs(x) <= 3.4e38
        ) and np.finfo(declared).max >= info.max  # fmt: skip
    else:
        limits = [int(np.iinfo(file_dtype).min), int(np.iinfo(file_dtype).max)]
        if declared.startswith("float"):
            holds = all(int(np.dtype(declared).type(x)) == x for x in (*limits, limits[1] - 2))
        else:
            holds = all(np.iinfo(declared).min <= x <= np.iinfo(declared).max for x in limits)
    if holds:
        assert decide_dtype(header(file_dtype), 0, declared) == declared
    else:
        with pytest.raises(PlanError, match=rf"{declared.upper()}.*{file_dtype.upper()}.*a\.tif"):
            decide_dtype(header(file_dtype), 0, declared)


@pytest.mark.parametrize("dtype", DTYPES)
def test_no_declared_dtype_is_the_files_own(dtype: str) -> None:
    assert decide_dtype(header(dtype), 0, None) == dtype


def test_bytes_read_as_int8_take_their_nodata_with_them() -> None:
    assert decide(header("uint8", nodata=255), dtype="int8").masking.values == (-1,)
    assert decide(header("int8", nodata=-128), dtype="uint8").masking.values == (128,)


@given(st.sampled_from(DTYPES), st.integers(-(2**70), 2**70) | st.floats())
def test_in_dtype_is_exact_for_integers_and_rounds_for_floats(dtype: str, value: Number) -> None:
    found = in_dtype(value, dtype)
    if dtype.startswith("float"):
        with np.errstate(over="ignore"):
            rounded = np.dtype(dtype).type(value)
        if np.isinf(rounded) and math.isfinite(value):
            assert found is None
        else:
            assert repr(found) == repr(float(rounded))
    else:
        info = np.iinfo(dtype)
        exact = math.isfinite(value) and value == int(value) and info.min <= value <= info.max
        assert found == (int(value) if exact else None)


# --- mosaics of several files -------------------------------------------------------------------


def test_a_later_source_may_bring_the_internal_mask() -> None:
    plain, masked = header(), header(mask="internal", uri="b.tif")
    for pair in ((plain, masked), (masked, plain)):
        assert decide(*pair).masking.source is FILE
        assert decide(*pair).mask_from_level == 0


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (header(nodata=0), header(nodata=0, mask="internal", uri="b.tif")),
        (replace(header(mask="alpha"), mask=None), header(mask="alpha", uri="b.tif")),
        (replace(header(mask="alpha"), mask="internal"), header(mask="alpha", uri="b.tif")),
    ],
)
def test_own_masks_of_two_kinds_are_refused_unless_something_higher_decides(
    first: Header, second: Header
) -> None:
    for pair in ((first, second), (second, first)):
        with pytest.raises(PlanError) as caught:
            decide(*pair)
        for text in ("a.tif", "b.tif", f"`{first.mask or 'none'}`", f"`{second.mask or 'none'}`"):
            assert text in caught.value.message
        assert decide(*pair, missing=(9,)).masking.source is VALUES
        assert decide(*pair, mask_tileset="m").masking.source is BAND


def test_metadata_comes_from_the_file() -> None:
    band = decide(header())
    assert (band.description, band.unit, band.scale, band.offset) == ("red", "K", 0.1, -273.0)
