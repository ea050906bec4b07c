"""Units that readers might take for times, and the classes of bands as CF says them."""

from __future__ import annotations

import json
import string
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rioxarray  # noqa: F401  (gives xarray its `rio`)
import xarray as xr
import zarr_workbench as bench
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from xarray.coding.times import CFDatetimeCoder, CFTimedeltaCoder
from zarr_workbench import sync

from geobatch.model.assets.asset import AnyImage, Masking, MaskSource, Policy
from geobatch.model.published import ArrayKey, AssetRecord
from geobatch.reading.store import open_store
from geobatch.store.tilestore import TileStore
from geobatch.views.zarr.cf import DURATIONS, numeric_unit
from geobatch.views.zarr.metadata import documents

WORDS = sorted(
    DURATIONS
    | {word.removesuffix("s") for word in DURATIONS}
    | {"d", "h", "hr", "hrs", "min", "mins", "s", "sec", "secs", "ms", "us", "ns", "weeks"}
    | {"months", "years", "common_years", "timedelta64[ns]"}
)
"""Words that xarray or cftime knows as units of time, and likely relatives of theirs."""

NODATA = Masking(source=MaskSource.VALUES, values=(0,), is_fill_free=True)


def is_numeric(units: str) -> bool:
    """Return whether xarray decodes masked numbers of a unit as numbers, as strictly as it can."""
    values = np.arange(4, dtype=np.uint16)
    found = xr.Variable(("x",), values, {"units": units, "_FillValue": np.uint16(0)})
    dataset = xr.Dataset({"b": found})
    for options in (
        {},
        {"decode_timedelta": True},
        {"decode_timedelta": CFTimedeltaCoder(time_unit="s", decode_via_units=True)},
        {"decode_times": CFDatetimeCoder(use_cftime=False), "decode_timedelta": True},
    ):
        try:
            decoded = xr.decode_cf(dataset, **options)["b"].load()
        except ValueError:
            return False
        if decoded.dtype != np.float32 or decoded.attrs.get("units") != units:
            return False
    return True


@st.composite
def spelled(draw: st.DrawFn) -> str:
    """A unit of time, in odd letters, plurals and blanks, alone or since some moment."""
    word = draw(st.sampled_from([*WORDS, "count", "1", "0.1 days"])) + draw(
        st.sampled_from("s ") | st.just("")
    )
    word = draw(st.sampled_from([word, word.upper(), word.title()]))
    blanks = st.sampled_from(["", " ", "  ", "\t"])
    since = draw(st.sampled_from(["since", "Since", "SINCE", "sincere", "_since_", "from"]))
    moment = draw(st.sampled_from(["", "2000-01-01", "1970-01-01T00:00:00Z", "no date", "since"]))
    tail = draw(st.just("") | st.just(f"{draw(blanks)}{since}{draw(blanks)}{moment}"))
    return f"{draw(blanks)}{word}{tail}{draw(blanks)}"


@settings(max_examples=60)
@given(unit=spelled() | st.text(string.ascii_letters + " ", max_size=20))
def test_no_spelling_of_a_unit_is_decoded_as_a_time(unit: str) -> None:
    found = numeric_unit(unit)
    assert found is None or is_numeric(found), (unit, found)
    if is_numeric(unit) and "since" not in unit.lower() and unit.strip().lower() not in DURATIONS:
        assert found == unit, "a unit that is harmless is left as it is"


@given(word=st.sampled_from(sorted(DURATIONS)))
def test_the_oracle_can_fail(word: str) -> None:
    assert not is_numeric(word)
    assume(word != "nanoseconds")
    assert not is_numeric(f"{word} since 2000-01-01")


def publish(place: Path, made: AnyImage, values: Any) -> None:
    store = TileStore.create(place)
    planes = {key: plane for key, plane in bench.pixels(made).items() if key.level}
    bench.publish(store, {made.id: (made, {ArrayKey(band="b1", level=0): values, **planes})})
    sync(store)
    store.close()


@pytest.mark.parametrize(
    ("unit", "units"),
    [
        ("days", "day"), ("hours", "hour"), (" Seconds ", "Second"), ("day", "day"), ("s", "s"),
        ("days since 2000-01-01", "days from 2000-01-01"), ("sinceness", None), ("", ""),
        ("days accumulated", "days accumulated"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("decode", [None, True])
def test_masked_days_are_numbers(
    tmp_path: Path, unit: str, units: str | None, decode: bool | None
) -> None:
    values = np.arange(64, dtype=np.uint16).reshape(8, 8)
    band = bench.band(dtype="uint16", fill=0, masking=NODATA, unit=unit)
    publish(tmp_path / "store", bench.asset("a", band, shape=(8, 8), tile=16), values)
    verified = open_store(tmp_path / "store").open("a")
    for place in (tmp_path / "store/zarr/a/0", verified.store_path / "0"):
        is_plain = isinstance(place, Path)
        dataset = xr.open_zarr(
            place if is_plain else verified.store,
            group=None if is_plain else "a/0",
            consolidated=is_plain,
            decode_timedelta=decode,
        )
        found = dataset["b1"].load()
        assert found.dtype == np.float32
        assert np.isnan(found[0, 0])
        assert float(found.mean()) == 32.0
        assert found.attrs.get("units") == units
        assert found.attrs.get("unit", units) == unit
        assert found.rio.crs.to_epsg() == 32633
        assert dataset["x"].attrs["units"] == "metre"


def attributes(made: AnyImage, path: str) -> dict[str, Any]:
    arrays = tuple((key, None) for key in bench.keys(made))
    record = AssetRecord(asset=made, arrays=arrays, fingerprints=())
    found: dict[str, Any] = json.loads(documents(record)[f"{path}/zarr.json"])["attributes"]
    return found


def test_classes_are_flags_too() -> None:
    made = bench.asset(
        "a",
        bench.band("class", dtype="uint8", fill=255, policy=Policy.MODE),
        bench.band("sure", dtype="uint8", fill=255),
        properties=(
            ("class_10", "built-up"), ("class_2", "broadleaf forest"), ("class_1", "water"),
            ("class_3", "a\tb\0c, d"), ("class_4", ""), ("class_300", "too large"),
            ("class_05", "no number"), ("class_x", "none"), ("class_7", 1.5),
        ),
    )  # fmt: skip
    for level in (0, 1):
        found = attributes(made, f"{level}/class")
        assert found["flag_values"] == [1, 2, 3, 4, 7, 10]
        words = found["flag_meanings"].split(" ")
        assert words == ["water", "broadleaf_forest", "a_b_c__d", "class_4", "1.5", "built-up"]
    assert "flag_values" not in attributes(made, "0/sure")


def test_classes_of_nobody_are_nobodys() -> None:
    named = (("class_1", "water"),)
    two = [bench.band(name, dtype="uint8", fill=255, policy=Policy.MODE) for name in "ab"]
    assert "flag_values" not in attributes(bench.asset("a", *two, properties=named), "0/a")
    real = bench.band("a", dtype="float32", fill=float("nan"))
    assert "flag_values" not in attributes(bench.asset("a", real, properties=named), "0/a")
    assert "flag_values" not in attributes(bench.asset("a", two[0]), "0/a")


@given(name=st.text(max_size=30))
def test_a_meaning_is_one_word(name: str) -> None:
    made = bench.asset(
        "a", bench.band(dtype="uint8", fill=255), shape=(8, 8), tile=16,
        properties=(("class_0", "first"), ("class_1", name), ("class_2", "last")),
    )  # fmt: skip
    found = attributes(made, "0/b1")["flag_meanings"]
    assert len(found.split()) == len(found.split(" ")) == 3
