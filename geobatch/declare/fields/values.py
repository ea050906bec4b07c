"""Field types of a manifest: each checks a value, or says what is wrong with it."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Annotated, Any, NoReturn

from pydantic import AfterValidator, Field, PlainValidator, StringConstraints, WithJsonSchema
from pydantic_core import PydanticCustomError

from geobatch.declare.fields.names import (
    ASSET_ID,
    BAND_ID,
    LONGEST,
    PROPERTY_KEY,
    RESERVED_BANDS,
    without_project,
)
from geobatch.declare.hints import did_you_mean, kind_of, placeholder_hint, show
from geobatch.model.assets.asset import Kind, Policy

TIME = re.compile(
    r"(\d{4}-\d{2}-\d{2})(?:[Tt ](\d{2}:\d{2}:\d{2})(?:\.(\d{1,9}))?([Zz]|[+-]\d{2}:\d{2})?)?",
    re.ASCII,
)
DATA_TYPES = {
    "INT8": "int8", "UINT8": "uint8", "INT16": "int16", "UINT16": "uint16", "INT32": "int32",
    "UINT32": "uint32", "INT64": "int64", "UINT64": "uint64", "FLOAT": "float32",
    "FLOAT32": "float32", "DOUBLE": "float64", "FLOAT64": "float64",
}  # fmt: skip
"""Earth Engine's names and the guide's, to numpy's; the 64-bit integers are ours."""
SPELLED = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
"""Spellings of non-finite numbers in JSON of Google's interfaces."""
UNSPECIFIED = "UNSPECIFIED"
KINDS = (Kind.IMAGE, Kind.EXTERNAL_IMAGE, Kind.IMAGE_COLLECTION, Kind.TABLE)
"""The supported kinds."""
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def refuse(rule: str, message: str, hint: str | None = None) -> NoReturn:
    """Refuse a value under a rule; the field's position is added later.

    Raises:
        PydanticCustomError: Always.
    """
    raise PydanticCustomError(rule, "{message}", {"message": message, "hint": hint or ""})


def parse_number(value: Any) -> int | float:
    """Return a number; `NaN`, `Infinity` and `-Infinity` may be text, as in Google's JSON."""
    if isinstance(value, str) and value in SPELLED:
        return SPELLED[value]
    if isinstance(value, bool) or not isinstance(value, int | float):
        hint = "write NaN as `.nan`" if str(value).lower() == "nan" else None
        refuse("wrong-type", f"got {show(value)}, {kind_of(value)}; expected a number", hint)
    try:
        float(value)
    except OverflowError:
        refuse("out-of-range", f"{show(value)} is too large for a float64")
    return value


def parse_finite(value: Any) -> int | float:
    """Return a finite number."""
    number = parse_number(value)
    if not math.isfinite(number):
        refuse("out-of-range", f"got {show(number)}; expected a finite number")
    return number


def parse_policy(value: Any) -> Policy | None:
    """Return a pyramiding policy of any case; None for Earth Engine's unspecified."""
    name = _word(value, Policy)
    if name in ("PYRAMIDING_POLICY_" + UNSPECIFIED, UNSPECIFIED):
        return None
    if name not in Policy.__members__:
        message = f"unknown pyramiding policy {show(value)}"
        refuse("unknown-value", message, did_you_mean(value, Policy))
    return Policy[name]


def parse_data_type(value: Any) -> str | None:
    """Return the numpy name of a pixel type; None for Earth Engine's unspecified."""
    name = _word(value, DATA_TYPES)
    if name == "DATA_TYPE_" + UNSPECIFIED:
        return None
    if name not in DATA_TYPES:
        refuse("unknown-value", f"unknown data type {show(value)}", did_you_mean(value, DATA_TYPES))
    return DATA_TYPES[name]


def parse_kind(value: Any) -> Kind:
    """Return an asset kind; kinds that are known but not supported are refused."""
    if value == Kind.IMAGE.value:
        return Kind.IMAGE
    name = _word(value, Kind).lower()
    if name not in list(Kind):
        refuse("unknown-value", f"unknown asset kind {show(value)}", did_you_mean(value, Kind))
    kind = Kind(name)
    if kind not in KINDS:
        message = f"the kind {show(value)} is not supported yet"
        words = "only `image`, `external_image`, `image_collection` and `table` are supported"
        refuse("unsupported-kind", message, words)
    return kind


def parse_image_kind(value: Any) -> Kind:
    """Return the kind of an image: ingested or external."""
    kind = parse_kind(value)
    if kind not in (Kind.IMAGE, Kind.EXTERNAL_IMAGE):
        hint = "write `image` or `external_image`"
        refuse("unknown-value", "a collection holds images, not collections or tables", hint)
    return kind


_SHORTER = f"at most {LONGEST}: it becomes the name of a folder"
_TIME_HINT = "write `2025-01-31`, `2025-01-31T12:00:00Z` or `{seconds: 1738324800}`"


def parse_time(value: Any) -> str:
    """Return a time as RFC 3339 in UTC: `YYYY-MM-DDTHH:MM:SS[.fraction]Z`.

    Takes a date, a time with offset and up to nine fraction digits, or `{seconds: n}`. The
    fraction is written with no, 3, 6 or 9 digits. Source: https://www.rfc-editor.org/rfc/rfc3339
    """
    hint = _TIME_HINT
    if isinstance(value, dict) and set(value) == {"seconds"}:
        seconds = value["seconds"]
        if isinstance(seconds, str) and re.fullmatch(r"-?[0-9]{1,18}", seconds):
            seconds = int(seconds)
        if isinstance(seconds, bool) or not isinstance(seconds, int):
            refuse("timestamp", f"`seconds` must be a whole number, got {show(seconds)}", hint)
        return _utc(lambda: EPOCH + timedelta(seconds=seconds), "", value, hint)
    if not isinstance(value, str):
        hint = placeholder_hint(value) or _time_hint(str(value))
        refuse("timestamp", f"{show(value)} is not a valid RFC 3339 time", hint)
    return _parse_text(value)


_NEARLY_TIMES = (
    (re.compile("([0-9]{4})"), "`{0}-01-01`"),
    (re.compile("([0-9]{4})(0[1-9]|1[0-2])([0-2][0-9]|3[01])"),
     "`{0}-{1}-{2}`; in a collection, `'{{date:%Y%m%d}}'`"),
    (re.compile("([0-9]{9,10})"), "`{{seconds: {0}}}`"),
    (re.compile("([0-9]{9,10})[0-9]{3}"),
     "`{{seconds: {0}}}`; in a collection, a form such as `'{{time:ms}}'` reads milliseconds"),
    (re.compile("([0-9]{4}-[0-9]{2}-[0-9]{2}) ([0-9]{2}:[0-9]{2})"), "`{0}T{1}:00Z`"),
)  # fmt: skip
"""Other spellings of times, and what to write instead."""


def _time_hint(text: str) -> str:
    """Return how to write a time, with the value itself if its spelling is a common one."""
    for form, meant in _NEARLY_TIMES:
        if match := form.fullmatch(text):
            return f"write {meant.format(*match.groups())}"
    return _TIME_HINT


@lru_cache(maxsize=8192)
def _parse_text(value: str) -> str:
    hint = _TIME_HINT
    match = TIME.fullmatch(value)
    if match is None:
        refuse("timestamp", f"{show(value)} is not a valid RFC 3339 time", _time_hint(value))
    day, clock, fraction, offset = match.groups()
    if clock and not offset:
        hint = f"add `Z` for UTC: `{day}T{clock}Z`"
        refuse("timestamp", f"{show(value)} has no offset from UTC", hint)
    offset = "+00:00" if offset in (None, "Z", "z") else offset
    spelled = f"{day}T{clock or '00:00:00'}{offset}"
    digits = (fraction or "").rstrip("0")
    digits += "0" * (-len(digits) % 3)
    return _utc(lambda: datetime.fromisoformat(spelled).astimezone(UTC), digits, value, hint)


def _utc(moment: Any, digits: str, value: Any, hint: str) -> str:
    try:
        utc = moment()
    except (ValueError, OverflowError) as error:
        refuse("timestamp", f"{show(value)} is not a valid time: {error}", hint)
    text = f"{utc.year:04}-{utc.month:02}-{utc.day:02}T{utc:%H:%M:%S}"
    return f"{text}.{digits}Z" if digits else f"{text}Z"


def _word(value: Any, choices: Any) -> str:
    if not isinstance(value, str):
        hint = did_you_mean(str(value), choices)
        refuse("wrong-type", f"got {show(value)}, {kind_of(value)}; expected text", hint)
    return value.upper()


def check_asset_id(value: str) -> str:
    """Return an asset id unchanged, if it is valid."""
    if value.count("/") > 9:
        count = value.count("/") + 1
        refuse("asset-id", f"{show(value)} has {count} parts; at most 10 are allowed")
    longest = max(map(len, value.split("/")))
    if longest > LONGEST:
        refuse("asset-id", f"{show(value)} has a part of {longest} characters", _SHORTER)
    if not re.fullmatch(ASSET_ID, value) or value.endswith("\n"):
        better = "/".join(
            re.sub(r"[^A-Za-z0-9_-]+", "_", part) for part in value.split("/") if part
        )
        hint = "use letters, digits, `_` and `-`, with parts separated by `/`"
        if better:
            hint += f": `{better[:100]}`"
        refuse("asset-id", f"{show(value)} is not a valid asset id", hint)
    return value


def _check_name(value: str) -> str:
    check_asset_id(without_project(value))
    return value


def _check_band_id(value: str) -> str:
    if len(value) > LONGEST:
        refuse("band-id", f"{show(value)} has {len(value)} characters", _SHORTER)
    if not re.fullmatch(BAND_ID, value) or value.endswith("\n"):
        hint = "use letters, digits, `_` and `-`"
        if better := re.sub(r"[^A-Za-z0-9_-]+", "_", value)[:100]:
            hint += f": `{better}`"
        refuse("band-id", f"{show(value)} is not a valid band id", hint)
    if value.casefold() in RESERVED_BANDS:
        hint = f"choose another, such as `{value}_band`"
        differs = "" if value in RESERVED_BANDS else " (many disks ignore case)"
        refuse("band-id", f"{show(value)} is the name of a coordinate{differs}", hint)
    return value


def _check_property_key(value: str) -> str:
    if not re.fullmatch(PROPERTY_KEY, value) or value.endswith("\n"):
        hint = "up to 110 letters, digits and `_`, or `system:` and lowercase letters"
        refuse("property-key", f"{show(value)} is not a valid property key", hint)
    return value


def check_property(value: Any) -> str | int | float:
    """Return the value of a property unchanged, if it is valid."""
    if isinstance(value, bool):
        hint = f"write `{int(value)}` or `'{str(value).lower()}'`"
        refuse("property-value", f"a property must be text or a number, got {show(value)}", hint)
    if isinstance(value, int) and not -(2**63) <= value < 2**64:
        refuse("property-value", f"{show(value)} does not fit in 64 bits", "write it as text")
    if isinstance(value, float) and not math.isfinite(value):
        message = f"a property must be finite, got {show(value)}"
        refuse("property-value", message, "write it as text")
    if not isinstance(value, str | int | float):
        hint = "remove the key" if value is None else "join the parts as text"
        hint = placeholder_hint(value) or hint
        refuse("property-value", f"a property must be text or a number, got {kind_of(value)}", hint)
    return value


Text = Annotated[str, StringConstraints(strict=True, min_length=1)]
Number = Annotated[
    int | float,
    PlainValidator(parse_number),
    WithJsonSchema({"anyOf": [{"type": "number"}, {"enum": [*SPELLED]}]}),
]
Finite = Annotated[int | float, PlainValidator(parse_finite), WithJsonSchema({"type": "number"})]
Index = Annotated[int, Field(ge=0, le=2**31 - 1)]
Size = Annotated[int, Field(ge=1, le=2**31 - 1)]
AssetId = Annotated[
    str, AfterValidator(check_asset_id), Field(json_schema_extra={"pattern": ASSET_ID})
]
AssetName = Annotated[str, AfterValidator(_check_name)]
BandId = Annotated[
    str, AfterValidator(_check_band_id), Field(json_schema_extra={"pattern": BAND_ID})
]
PolicyName = Annotated[
    Policy | None,
    PlainValidator(parse_policy),
    WithJsonSchema({"type": "string", "enum": [n for p in Policy for n in (p.value, p.lower())]}),
]
DataTypeName = Annotated[
    str | None,
    PlainValidator(parse_data_type),
    WithJsonSchema({"type": "string", "enum": [n for t in DATA_TYPES for n in (t, t.lower())]}),
]
KindName = Annotated[
    Kind,
    PlainValidator(parse_kind),
    WithJsonSchema({"type": "string", "enum": [Kind.IMAGE.value, Kind.EXTERNAL_IMAGE.value]}),
]
ImageKind = Annotated[
    Kind,
    PlainValidator(parse_image_kind),
    WithJsonSchema({"type": "string", "enum": [Kind.IMAGE.value, Kind.EXTERNAL_IMAGE.value]}),
]
CollectionKind = Annotated[
    Kind,
    PlainValidator(parse_kind),
    WithJsonSchema({"type": "string", "enum": [Kind.IMAGE_COLLECTION.value]}),
]
TIME_SCHEMA: dict[str, Any] = {
    "anyOf": [
        {"type": "string", "pattern": "^" + TIME.pattern.replace("(?:", "(") + "$"},
        {
            "type": "object",
            "properties": {"seconds": {"type": "integer", "description": "Since 1970, UTC."}},
            "required": ["seconds"],
            "additionalProperties": False,
        },
    ]
}
Time = Annotated[str, PlainValidator(parse_time), WithJsonSchema(TIME_SCHEMA)]
PropertyKey = Annotated[str, AfterValidator(_check_property_key)]
PropertyValue = Annotated[
    str | int | float,
    PlainValidator(check_property),
    WithJsonSchema({"type": ["string", "number"]}),
]
