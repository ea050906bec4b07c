"""Specs as written: load with positions, validate, format."""

from geobatch.spec.expand import Expansion, SourceFile, expand, validate
from geobatch.spec.format import fmt_text
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
    SourceSpec,
    SpecSet,
    TableSpec,
    TfrecordSpec,
    TilesetSpec,
)
from geobatch.spec.schema import schema
from geobatch.spec.values import is_band_id

__all__ = [
    "BandSpec", "Expansion", "FeatureSpec", "FootprintSpec", "ImageSpec", "Loc", "MaskBandSpec",
    "Positions", "SourceFile", "SourceSpec", "SpecSet", "TableSpec", "TfrecordSpec", "TilesetSpec",
    "expand", "fmt_text", "is_band_id", "lint", "load", "problem", "schema", "spec_files",
    "validate",
]  # fmt: skip
