"""Resolved values are equal when they mean the same, NaN included."""

from __future__ import annotations

import math
import pickle

from msgspec.structs import replace

from geobatch.model.assets.asset import Band, Masking, MaskSource, Policy

BAND = Band(
    id="b", grid="g", tileset="t", index=0, dtype="float32", policy=Policy.MEAN, fill=math.nan,
    masking=Masking(source=MaskSource.VALUES, values=(math.nan, 1.0), is_fill_free=True),
)  # fmt: skip


def test_nan_equals_itself_through_pickle() -> None:
    again = pickle.loads(pickle.dumps(BAND))
    assert again == BAND
    assert hash(again) == hash(BAND)
    assert replace(BAND, fill=float("nan")) == BAND


def test_what_differs_is_told_apart() -> None:
    assert replace(BAND, fill=0.0) != replace(BAND, fill=-0.0)
    assert replace(BAND, fill=1) != replace(BAND, fill=1.0)
    assert replace(BAND, policy=Policy.MAX) != BAND
    assert replace(BAND, masking=replace(BAND.masking, values=(1.0,))) != BAND
