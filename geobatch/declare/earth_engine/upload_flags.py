"""The flags of `earthengine upload image` to the manifest that it would send.

Source: `UploadImageCommand` of the earthengine-api client, whose behaviour the tests compare.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from msgspec import Struct

from geobatch.declare.hints import did_you_mean, show
from geobatch.model.assets.asset import Policy

TILESET = "ts"
"""Id of the one tileset."""
TFRECORDS = (".tfrecord", "tfrecord.gz")
"""How the names of TFRecord files end; if one does, all files are shards of one source."""

_PROPERTY = re.compile(r"(?:\(([^)]*)\))?([^=]+)=(.*)", re.DOTALL)
_WHOLE = re.compile("[+-]?[0-9]{1,18}", re.ASCII)
_TYPES = ("string", "number", "date")
_DATES = ("%Y-%m-%d", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%S.%f")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class FlagError(Exception):
    """A flag is wrong; the message names it, what it got and what is expected."""


class UploadFlags(Struct, frozen=True, kw_only=True):
    """Flags as they are written."""

    asset_id: str
    """Id or Earth Engine name of the asset."""
    files: tuple[str, ...]
    """Paths, uris and globs."""
    bands: str | None = None
    """Names of bands, joined by commas."""
    nodata_value: str | None = None
    """One number for all bands or one for each, joined by commas."""
    pyramiding_policy: str | None = None
    """One policy for all bands or one for each, joined by commas."""
    last_band_alpha: bool = False
    """Whether the last band masks the others."""
    crs: str | None = None
    """Code or WKT that replaces the files'."""
    properties: tuple[str, ...] = ()
    """Each `name=value` or `(type)name=value`."""
    time_start: str | None = None
    """A date, or milliseconds since 1970; empty is none."""
    time_end: str | None = None
    """Likewise."""


def upload_manifest(flags: UploadFlags) -> dict[str, Any]:
    """Return the image manifest of some flags, key by key as the client sends it.

    Raises:
        FlagError: A flag is wrong, or two exclude each other.
    """
    if not flags.files:
        raise FlagError("at least one file must be named")
    nodata = _numbers(flags.nodata_value)
    policies = _policies(flags.pyramiding_policy)
    if flags.last_band_alpha and nodata:
        raise FlagError("`--last-band-alpha` and `--nodata-value` exclude each other")
    names = _split("--bands", flags.bands)
    for flag, values in (("--pyramiding-policy", policies), ("--nodata-value", nodata)):
        if len(values) > 1:
            names = _counted(names, flag, len(values))
    is_tfrecord = any(file.lower().endswith(TFRECORDS) for file in flags.files)
    uris = [list(flags.files)] if is_tfrecord else [[file] for file in flags.files]
    tileset: dict[str, Any] = {"id": TILESET, "sources": [{"uris": each} for each in uris]}
    if flags.crs:
        tileset["crs"] = flags.crs
    manifest: dict[str, Any] = {
        "name": flags.asset_id,
        "properties": _properties(flags.properties),
        "tilesets": [tileset],
    }
    if flags.time_start:
        manifest["start_time"] = _timestamp("--time-start", flags.time_start)
    if flags.time_end:
        manifest["end_time"] = _timestamp("--time-end", flags.time_end)
    bands: list[dict[str, Any]] = [
        {"id": name, "tilesetId": TILESET, "tilesetBandIndex": index}
        for index, name in enumerate(names)
    ]
    if bands:
        manifest["bands"] = bands
    _spread(manifest, bands, "pyramidingPolicy", policies)
    _spread(manifest, bands, "missingData", [{"values": [value]} for value in nodata])
    if flags.last_band_alpha:
        manifest["maskBands"] = {"tilesetId": TILESET}
    return manifest


def _spread(
    manifest: dict[str, Any], bands: list[dict[str, Any]], key: str, values: Sequence[Any]
) -> None:
    """Put one value into the manifest, several into the bands."""
    if len(values) == 1:
        manifest[key] = values[0]
    else:
        for band, value in zip(bands, values, strict=False):
            band[key] = value


def _counted(names: list[str], flag: str, count: int) -> list[str]:
    if names and len(names) != count:
        raise FlagError(
            f"`{flag}` has {count} values for {len(names)} bands; expected one, or one per band"
        )
    return names or [f"b{number}" for number in range(1, count + 1)]


def _split(flag: str, text: str | None) -> list[str]:
    if text is None:
        return []
    values = text.split(",")
    if not all(values):
        raise FlagError(f"`{flag}` is a list separated by commas, got {show(text)}")
    return values


def _numbers(text: str | None) -> list[float]:
    found: list[float] = []
    for word in _split("--nodata-value", text):
        try:
            found.append(int(word))
        except ValueError:
            try:
                found.append(float(word))
            except ValueError:
                raise FlagError(f"`--nodata-value`: {show(word)} is not a number") from None
    return found


def _policies(text: str | None) -> list[str]:
    words = [word.upper() for word in _split("--pyramiding-policy", text)]
    for word in words:
        if word not in Policy.__members__:
            hint = did_you_mean(word, [policy.lower() for policy in Policy])
            raise FlagError(f"`--pyramiding-policy`: no policy {show(word.lower())}; {hint}")
    return words


def _properties(texts: Sequence[str]) -> dict[str, Any]:
    pairs = [_property(text) for text in texts]
    doubles = [name for name, count in Counter(name for name, _ in pairs).items() if count > 1]
    if doubles:
        raise FlagError(f"`--property`: {', '.join(map(show, doubles))} appears more than once")
    return dict(pairs)


def _property(text: str) -> tuple[str, str | float | None]:
    match = _PROPERTY.match(text)
    if match is None:
        raise FlagError(f"`--property`: {show(text)}; expected `name=value` or `(type)name=value`")
    kind, name, value = match.groups()
    if kind not in (None, *_TYPES):
        hint = did_you_mean(kind, _TYPES)
        raise FlagError(f"`--property`: no type {show(kind)} of {show(name)}; {hint}")
    if value == "null" and kind != "string":
        return name, None
    if kind == "string":
        return name, value
    if kind == "date":
        return name, _milliseconds("--property", value) if value else ""
    try:
        number = float(value)
    except ValueError:
        if kind == "number":
            message = f"`--property`: {show(value)} of {show(name)} is not a number"
            raise FlagError(message) from None
        return name, value
    if not math.isfinite(number):
        raise FlagError(
            f"`--property`: {show(name)} is {show(value)}, but a property must be finite;"
            f" `(string){name}={value}` is text"
        )
    return name, int(value) if _WHOLE.fullmatch(value) else number


def _milliseconds(flag: str, text: str) -> int:
    """Return milliseconds since 1970; what is finer is cut off."""
    try:
        return int(text)
    except ValueError:
        pass
    for form in _DATES:
        try:
            moment = datetime.strptime(text, form).replace(tzinfo=UTC)
        except ValueError:
            continue
        return (moment - _EPOCH) // timedelta(milliseconds=1)
    raise FlagError(
        f"`{flag}`: {show(text)} is no date; expected `2025-01-31`, `2025-01-31T12:00:00`, with or"
        " without a fraction, or milliseconds since 1970"
    )


def _timestamp(flag: str, text: str) -> str:
    milliseconds = _milliseconds(flag, text)
    try:
        moment = _EPOCH + timedelta(milliseconds=milliseconds)
    except OverflowError:
        raise FlagError(f"`{flag}`: {show(text)} is beyond the year 9999") from None
    return moment.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"
