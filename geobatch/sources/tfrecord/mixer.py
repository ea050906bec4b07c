"""The mixer that Earth Engine writes beside TFRecord patches, parsed."""

from __future__ import annotations

import json
import math
from typing import Any

from geobatch.model.digest import Json
from geobatch.model.geobox import Transform
from geobatch.model.sources.tfrecord import Mixer
from geobatch.model.text.shortened import shortened
from geobatch.sources.naming import UnnamedError

MAX_BYTES = 1 << 20
"""Most bytes of a mixer; real ones have some 300."""
_STATE_TRANSFORM = "give `affine_transform` to the source in the spec"
_MOST = (1 << 31) - 1
"""Most patches, and most pixels on a side: GDAL has no larger raster."""
_SHOWN = 60
_MATRIX = "projection.affine.doubleMatrix"
_HINT = "use the mixer file that the export wrote next to its patches"


def parse_mixer(text: str) -> Mixer:
    """Return the arrangement of a mixer's patches; other functions return CRS and transform.

    Its format: https://developers.google.com/earth-engine/guides/tfrecord. Keys that it need not
    have are passed over.

    Raises:
        UnnamedError: The text is not JSON, or a value is missing or not valid.
    """
    found = _json(text)
    width, height = _numbers(found, "patchDimensions")
    total, per_row = _number(found, "totalPatches"), _number(found, "patchesPerRow")
    if total % per_row:
        raise UnnamedError(
            f"`totalPatches` is {total}, expected a multiple of `patchesPerRow`, which is {per_row}"
        )
    mixer = Mixer(patch=(height, width), patches_per_row=per_row, total=total)
    if max(mixer.size) > _MOST:
        raise UnnamedError(
            f"the patches make {mixer.size[0]} x {mixer.size[1]} pixels, expected at most"
            f" {_MOST} on a side"
        )
    return mixer


def mixer_crs(text: str) -> str:
    """Return the CRS that a mixer names: an authority code or WKT.

    Raises:
        UnnamedError: It names none.
    """
    return _crs(_get(_json(text), "projection"))


def mixer_transform(text: str) -> Transform:
    """Return pixel corner to CRS coordinates, from the first pixel of the first patch.

    Margins are not counted.

    Raises:
        UnnamedError: There is none, or it is not valid.
    """
    projection = _get(_json(text), "projection")
    return _transform(_get(projection, _MATRIX, "affine", "doubleMatrix"))


def _json(text: str) -> Json:
    try:
        found: Json = json.loads(text, object_pairs_hook=_object)
    except (ValueError, RecursionError) as error:
        raise UnnamedError(f"the mixer is not valid JSON: {error}", hint=_HINT) from None
    return found


def _object(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    """Return a JSON object; a key that appears twice is an error, since readers differ."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key appears twice")
    return found


def _get(value: Json, path: str, *keys: str) -> Json:
    for key in keys or (path,):
        if not isinstance(value, dict) or key not in value:
            raise UnnamedError(f"the mixer has no `{path}`", hint=_HINT)
        value = value[key]
    return value


def _crs(projection: Json) -> str:
    key = "wkt" if "crs" not in projection and "wkt" in projection else "crs"
    text = _get(projection, f"projection.{key}", key)
    # WKT may have line ends; what else is not to be printed is in no CRS.
    if not isinstance(text, str) or not "".join(text.split()).isprintable() or not text.strip():
        hint = "give `crs` to the tileset in the spec"
        raise _wrong("projection.crs", "a code such as `EPSG:4326`, or WKT", text, hint)
    return text


def _transform(matrix: Json) -> Transform:
    is_good = isinstance(matrix, list) and len(matrix) == 6 and all(map(_is_finite, matrix))
    if not is_good:
        raise _wrong(_MATRIX, "six numbers", matrix, _STATE_TRANSFORM)
    a, b, c, d, e, f = (float(value) for value in matrix)
    if not math.isfinite(a * e - b * d) or a * e - b * d == 0:
        message = f"the transform {(a, b, c, d, e, f)} is not valid"
        raise UnnamedError(message, hint=_STATE_TRANSFORM)
    return (a, b, c, d, e, f)


def _is_finite(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer that no float has
        return False


def _is_count(value: Any) -> bool:
    return not isinstance(value, bool) and isinstance(value, int) and 0 < value <= _MOST


def _numbers(found: Json, path: str) -> tuple[int, int]:
    value = _get(found, path)
    if not isinstance(value, list) or len(value) != 2 or not all(map(_is_count, value)):
        raise _wrong(path, "a width and a height in pixels", value)
    return (value[0], value[1])


def _number(found: Json, path: str) -> int:
    value = _get(found, path)
    if not _is_count(value):
        raise _wrong(path, "a number of patches", value)
    return int(value)


def _wrong(path: str, expected: str, got: Json, hint: str | None = None) -> UnnamedError:
    try:
        shown = ascii(got)
    except (RecursionError, ValueError):  # nested too deep
        shown = f"a {type(got).__name__}"
    shown = shortened(shown, _SHOWN)
    return UnnamedError(f"`{path}` is `{shown}`, expected {expected}", hint=hint)
