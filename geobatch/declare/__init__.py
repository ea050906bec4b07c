"""Specs as written: load with positions, validate; see also `format` and `schema`."""

from geobatch.declare.checks.lint import lint
from geobatch.declare.files.uris import Expansion, expand, prepare, validate
from geobatch.declare.loading.load import load, problem, spec_files
from geobatch.declare.spec_set import SpecSet
from geobatch.declare.specs import (
    AssetSpec,
    BandSpec,
    CheckSpec,
    ExternalImageSpec,
    FeatureSpec,
    FootprintSpec,
    ImageSpec,
    Loc,
    MaskBandSpec,
    Positions,
    RasterSpec,
    Seen,
    SourceSpec,
    TableSpec,
    TfrecordSpec,
    TilesetSpec,
)

__all__ = [
    "AssetSpec", "BandSpec", "CheckSpec", "Expansion", "ExternalImageSpec", "FeatureSpec",
    "FootprintSpec", "ImageSpec", "Loc", "MaskBandSpec", "Positions", "RasterSpec", "Seen",
    "SourceSpec", "SpecSet", "TableSpec", "TfrecordSpec", "TilesetSpec", "expand", "lint", "load",
    "prepare", "problem", "spec_files", "validate",
]  # fmt: skip
