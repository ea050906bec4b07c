"""How values become colours: which bands, which values are dark and bright, which colours."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from functools import cache

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from geobatch.errors import NotFoundError
from geobatch.model.assets.band import Band
from geobatch.model.assets.image import Raster
from geobatch.model.text.suggest import suggestion
from geobatch.review.pictures.colours import Stretch, composite_of, grey_of, picture_of
from geobatch.review.pictures.pictures import COMPOSITES
from geobatch.serve.tiles.png import Rgba
from geobatch.store.pixels import Values, Weights

_ANCHORS: Mapping[str, tuple[str, ...]] = {
    "grey": ("000000", "ffffff"),
    "viridis": (
        "440154", "472d7b", "3b528b", "2c728e", "21918c", "28ae80", "5ec962", "addc30", "fde725",
    ),
    "magma": (
        "000004", "1d1147", "51127c", "832681", "b73779", "e75263", "fc8961", "fec488", "fcfdbf",
    ),
    "terrain": ("2b6a4d", "7fb069", "e6d690", "c49a6c", "8d6b57", "f7f7f7"),
    "blues": ("f7fbff", "c6dbef", "6baed6", "2171b5", "08306b"),
    "redblue": ("67001f", "d6604d", "fddbc7", "f7f7f7", "d1e5f0", "4393c3", "053061"),
}  # fmt: skip
COLORMAPS = tuple(_ANCHORS)
"""Names of scales of colours, the first by default."""
_NUMBER = re.compile(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]{1,3})?", re.ASCII)


class BadQueryError(ValueError):
    """A query is malformed; the message says what was expected."""


class Style(Struct, frozen=True, kw_only=True):
    """How an image is shown."""

    bands: tuple[str, ...]
    """One band, or red, green and blue."""
    stretches: tuple[Stretch | None, ...]
    """Values that are dark and bright, of each band; None for those that the image suggests."""
    colormap: str = "grey"
    """Scale of colours of a single band without palette."""

    def query(self) -> dict[str, str]:
        """Return the members of a URL that mean this."""
        found = {"bands": ",".join(self.bands)}
        given = [one for one in self.stretches if one is not None]
        if len(given) == len(self.stretches) and given:
            found["rescale"] = ",".join(f"{one.low:.17g},{one.high:.17g}" for one in given)
        if self.colormap != COLORMAPS[0]:
            found["colormap"] = self.colormap
        return found


def default_bands(image: Raster) -> tuple[str, ...]:
    """Return red, green and blue if the image has them on one grid, else its first band."""
    lower = {band.id.lower(): band for band in image.bands}
    for names in COMPOSITES:
        found = [lower[name] for name in names if name in lower]
        same = {(band.grid, band.dtype, band.palette) for band in found}
        if len(found) == 3 and len(same) == 1 and found[0].palette is None:
            return tuple(band.id for band in found)
    return (image.bands[0].id,)


def parse_style(image: Raster, query: Mapping[str, str]) -> Style:
    """Return the style that a query asks for: `bands`, `rescale`, `colormap`.

    Raises:
        NotFoundError: There is no such band.
        BadQueryError: The query is malformed.
    """
    names = _bands(image, query.get("bands", ""))
    colormap = query.get("colormap") or COLORMAPS[0]
    if colormap not in _ANCHORS:
        raise BadQueryError(f"`colormap`: expected one of {', '.join(COLORMAPS)}")
    return Style(
        bands=names, stretches=_stretches(query.get("rescale", ""), len(names)), colormap=colormap
    )


def _bands(image: Raster, text: str) -> tuple[str, ...]:
    if not text:
        return default_bands(image)
    names = tuple(text.split(","))
    if len(names) not in (1, 3):
        raise BadQueryError("`bands`: expected one band, or three for red, green and blue")
    ids = [band.id for band in image.bands]
    for name in names:
        if name not in ids:
            hint = suggestion(name, ids) or f"its bands are {', '.join(f'`{one}`' for one in ids)}"
            raise NotFoundError(f"`{image.id}` has no band `{name}`", hint=hint)
    if len({image.band(name).grid for name in names}) > 1:
        raise BadQueryError("`bands`: expected bands that are on one grid")
    return names


def _stretches(text: str, count: int) -> tuple[Stretch | None, ...]:
    if not text:
        return (None,) * count
    parts = text.split(",")
    numbers = [float(part) for part in parts if _NUMBER.fullmatch(part)]
    is_whole = len(numbers) == len(parts) and len(numbers) in (2, 2 * count)
    if not is_whole or not all(map(math.isfinite, numbers)):
        raise BadQueryError("`rescale`: expected `low,high`, or such a pair for each band")
    pairs = [Stretch(low=low, high=high) for low, high in zip(*[iter(numbers)] * 2, strict=True)]
    return tuple(pairs * count if len(pairs) == 1 else pairs)


def colours_of(
    bands: Sequence[Band],
    states: Sequence[tuple[Values, Weights]],
    stretches: Sequence[Stretch | None],
    colormap: str,
) -> Rgba:
    """Return pixels as colours; masked ones are transparent."""
    if len(bands) > 1:
        return composite_of([(*one, how) for one, how in zip(states, stretches, strict=True)])
    (band,), (state,), (stretch,) = bands, states, stretches
    picture = picture_of(*state, band, stretch)
    if band.palette is None and colormap != COLORMAPS[0]:
        grey = grey_of(state[0], stretch or Stretch(low=0, high=0))
        picture[..., :3] = table_of(colormap)[grey]
        picture[state[1] == 0] = 0
    return picture


@cache
def table_of(colormap: str) -> npt.NDArray[np.uint8]:
    """Return the 256 colours of a scale, (256, 3)."""
    anchors = np.array([list(bytes.fromhex(one)) for one in _ANCHORS[colormap]], np.float64)
    at = np.linspace(0, len(anchors) - 1, 256)
    channels = [np.interp(at, np.arange(len(anchors)), anchors[:, one]) for one in range(3)]
    return np.rint(np.stack(channels, axis=1)).astype(np.uint8)
