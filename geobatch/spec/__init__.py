"""Specs as written: load with positions, validate; see also `format` and `schema`."""

from geobatch.spec.expand import Expansion, SourceFile, expand, validate
from geobatch.spec.lint import lint
from geobatch.spec.load import load, problem, spec_files
from geobatch.spec.nouns import (
    BandSpec,
    FeatureSpec,
    FootprintSpec,
    ImageSpec,
    Loc,
    MaskBandSpec,
    Positions,
    Seen,
    SourceSpec,
    SpecSet,
    TableSpec,
    TfrecordSpec,
    TilesetSpec,
)

__all__ = [
    "BandSpec", "Expansion", "FeatureSpec", "FootprintSpec", "ImageSpec", "Loc", "MaskBandSpec",
    "Positions", "Seen", "SourceFile", "SourceSpec", "SpecSet", "TableSpec", "TfrecordSpec",
    "TilesetSpec", "expand", "lint", "load", "problem", "spec_files", "validate",
]  # fmt: skip
