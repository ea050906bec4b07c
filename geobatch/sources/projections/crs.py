"""Coordinate reference systems: from text to the model's Crs."""

from __future__ import annotations

import math
import threading
import warnings
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from geobatch.errors import SourceError
from geobatch.model.digest import canonical_json
from geobatch.model.geobox import Crs
from geobatch.model.text.shortened import shortened
from geobatch.sources import projections
from geobatch.sources.projections.crs_files import check_no_files
from geobatch.sources.projections.proj import proj

if TYPE_CHECKING:
    from pyproj import CRS

_QUIET = threading.Lock()  # warnings.catch_warnings is not thread-safe
_ANY_CODE = 32661
"""A CRS that every database of PROJ has."""
_AXIS_KEYS = ("axis", "long_name", "standard_name", "units")


@lru_cache(maxsize=256)
def parse_crs(text: str) -> Crs:
    """Return the CRS that a text names: `EPSG:32618`, WKT, PROJJSON or a PROJ string.

    Raises:
        ValueError: The text is not a CRS, or the CRS has no horizontal axes.
        SourceError: PROJ cannot read its database.
    """
    with _QUIET, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            check_no_files(text.strip())
            return _to_model(_parse(text.strip()))
        except (proj().exceptions.CRSError, ValueError, LookupError) as error:
            # pyproj looks up parameters that a CRS may lack.
            why = f"it lacks {error}" if isinstance(error, LookupError) else _first_line(error)
            shown = shortened(text, 4096)
            raise ValueError(
                f"`{shown}` is not a coordinate reference system ({why}); expected"
                " `EPSG:<number>`, WKT or a PROJ string"
            ) from error


def projjson(crs: Crs) -> str:
    """Return a CRS as PROJJSON. Source: https://proj.org/specifications/projjson.html."""
    with _QUIET, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        text: str = proj().CRS.from_user_input(crs.identity).to_json()
        return text


@lru_cache(maxsize=256)
def turn(crs: Crs) -> float | None:
    """Return the length of x around the Earth in a CRS, in its units, such as 360 degrees.

    None if its meridians are not parallel lines, because then no shift joins the ends.
    """
    with _QUIET, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            found: CRS = proj().CRS.from_user_input(crs.identity)
            if found.is_geographic:
                return round(2 * math.pi / float(found.axis_info[0].unit_conversion_factor), 9)
            return projections.turn_of_plane(found)
        except (proj().exceptions.ProjError, IndexError):
            return None


def _parse(text: str) -> CRS:
    if not any(mark in text for mark in ":[{+"):
        raise proj().exceptions.CRSError("a name or number alone is ambiguous")
    crs: CRS = proj().CRS.from_user_input(text)
    return crs


def _to_model(crs: CRS) -> Crs:
    code = _code(crs)
    if code is not None:
        # One definition per code, whatever the writer of a file added to its copy.
        crs = proj().CRS.from_user_input(code)
    if crs.is_geocentric or (crs.is_vertical and not (crs.is_projected or crs.is_geographic)):
        raise proj().exceptions.CRSError(f"`{crs.name}` has no horizontal axes")
    axes: dict[str, Mapping[str, Any]] = {}
    for attributes in crs.cs_to_cf():
        name = str(attributes.get("axis", "")).lower()
        axes.setdefault(name, {key: attributes[key] for key in _AXIS_KEYS if key in attributes})
    content = {
        "grid_mapping": crs.to_cf(wkt_version="WKT2_2019"),
        "x": axes.get("x", {"axis": "X"}),
        "y": axes.get("y", {"axis": "Y"}),
    }
    return Crs(code=code, wkt=crs.to_wkt("WKT2_2019"), cf=canonical_json(content).decode())


def _code(crs: CRS) -> str | None:
    # The CRS's own code first, then one that PROJ is certain of.
    own = crs.to_json_dict().get("id")
    found = (str(own["authority"]), str(own["code"])) if own else None
    found = found or crs.to_authority(min_confidence=100)
    if found is None:
        check_database(proj().CRS.from_epsg)
        return None
    code = ":".join(found)
    try:
        official = proj().CRS.from_user_input(code)
    except proj().exceptions.CRSError:
        check_database(proj().CRS.from_epsg)
        return None
    # Files exist that name a code and then change the datum: such a code is not believed. But
    # GDAL's list of codes may be older than PROJ's and name the same datum otherwise; hence the
    # second test, by numbers.
    is_same = official.equals(crs, ignore_axis_order=True) or (
        own is not None and official.to_dict() == crs.to_dict()
    )
    return code if is_same else None


def check_database(from_epsg: Callable[[int], object]) -> None:
    """Check that PROJ can read its database; else it takes every CRS for one without a code.

    Args:
        from_epsg: Returns the CRS of a code, and raises an error if it is not in the database.

    Raises:
        SourceError: It cannot.
    """
    try:
        from_epsg(_ANY_CODE)
    except Exception as error:  # each library has its own
        raise SourceError(
            f"PROJ cannot read its database, so no CRS can be identified ({_first_line(error)})",
            hint="give the process more memory and file handles; check `PROJ_DATA`",
        ) from error


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0].rstrip(":. ") if str(error).strip() else "unreadable"
