"""Reasons and risks in words: one list for terminals, comments and pages."""

from __future__ import annotations

from geobatch.model.plans.plan import Reason, Risk

REASON_WORDS: dict[str, str] = {
    Reason.NEW_ASSET: "new",
    Reason.RENAMED: "renamed",
    Reason.KIND_CHANGED: "",
    Reason.SOURCE_CHANGED: "changed",
    Reason.SOURCE_ADDED: "added",
    Reason.SOURCE_REMOVED: "removed",
    Reason.SOURCE_MOVED: "moved",
    Reason.BAND_ADDED: "added",
    Reason.BAND_REMOVED: "removed",
    Reason.BANDS_REORDERED: "reordered",
    Reason.BAND_SOURCE_CHANGED: "source",
    Reason.POLICY_CHANGED: "",
    Reason.MASKING_CHANGED: "masking changed",
    Reason.DTYPE_CHANGED: "data type",
    Reason.GRID_CHANGED: "",
    Reason.TILING_CHANGED: "",
    Reason.CODEC_CHANGED: "",
    Reason.PROPERTIES_CHANGED: "",
    Reason.TIME_CHANGED: "",
    Reason.METADATA_CHANGED: "changed",
    Reason.LIFECYCLE_CHANGED: "",
    Reason.CHECKS_CHANGED: "changed",
    Reason.REPLACE_REQUESTED: "is computed again, as requested",
    Reason.NOT_DECLARED: "is no longer declared",
}
"""What happened to the subject of a reason; the path and the detail say the rest."""
RISK_WORDS: dict[str, str] = {
    Risk.ASSET_DELETED: "is deleted: readers no longer find it",
    Risk.ASSET_RENAMED: "is the former id: readers no longer find the asset there",
    Risk.PROTECTION_LIFTED: "is removed: the next apply can delete the asset",
    Risk.BAND_REMOVED: "is removed: readers no longer find the band",
    Risk.DTYPE_CHANGED: "gets another data type",
    Risk.GRID_CHANGED: "changes: pixels move to other locations",
    Risk.TILING_CHANGED: "changes: readers find chunks of another size",
    Risk.ALL_RECOMPUTED: "every tile is computed again",
    Risk.CHECK_FAILED: "fails",
    Risk.CLASSES_AVERAGED: "holds classes and is averaged; MODE and SAMPLE keep classes",
}
"""What a risk means for its subject."""


def reason_words(code: str, path: str, detail: str) -> str:
    """Return a reason as people read it: what, how, and from what to what."""
    # A plan that a newer minor version saved may give reasons that have no word here.
    word = REASON_WORDS.get(code, code)
    return " ".join(part for part in (path, word, detail) if part)


def risk_words(code: str) -> str:
    """Return what a risk means, after the name of its subject."""
    # As above: a newer version may give risks that have no word here.
    return RISK_WORDS.get(code, code)
