"""The names of pyramiding policies, in specs and in the store; `pyramid/` computes them."""

from __future__ import annotations

from enum import StrEnum


class Policy(StrEnum):
    """How a 2x2 group of pixels becomes one pixel of the level above (Earth Engine's policies)."""

    MEAN = "MEAN"
    SAMPLE = "SAMPLE"
    MIN = "MIN"
    MAX = "MAX"
    MODE = "MODE"
    MEDIAN = "MEDIAN"
