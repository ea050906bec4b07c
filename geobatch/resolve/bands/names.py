"""Names of bands that a spec does not name: those of their source, or `b1`, `b2`, ..."""

from __future__ import annotations

from collections.abc import Collection
from itertools import count

from geobatch.declare import RasterSpec, problem
from geobatch.declare.fields.names import is_band_id
from geobatch.errors import SpecError
from geobatch.model.sources.probe import Probe
from geobatch.sources.registry import driver_named


def band_name(spec: RasterSpec, probe: Probe, index: int, *, taken: Collection[str]) -> str:
    """Return a name for a band of a source.

    Args:
        spec: The image.
        probe: The first source of the tileset, with the header that the spec leaves it.
        index: Index of the band in it.
        taken: Names of the bands before it.

    Raises:
        SpecError: The source's name must be kept, and is not valid for a band, or already used.
    """
    driver = driver_named(probe.driver)
    names = driver.band_names(probe)
    name = names[index] if names else ""
    folded = {other.casefold() for other in taken}
    if not driver.keeps_band_names:
        if name and name.casefold() not in folded and is_band_id(name):
            return name
        return next(name for n in count(1) if (name := f"b{n}") not in folded)
    name = name or f"b{len(taken) + 1}"
    is_taken = name.casefold() in folded
    if is_taken or not is_band_id(name):
        what = "already used (case is ignored)" if is_taken else "not a valid band id"
        message = f"`{probe.header.uri}` names its band {index + 1} `{name}`, which is {what}"
        hint = f"declare `bands`, as in `[{{id: b{index + 1}, tileset_band_index: {index}}}]`"
        raise SpecError((problem(spec, ("tilesets",), "band-name", message, hint),))
    return name
