"""Field types of checks of data, and the rule that a check is about one thing."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import PlainValidator, WithJsonSchema

from geobatch.declare.fields.values import parse_finite, parse_number, refuse
from geobatch.declare.hints import show

SHARE = re.compile(r"(?:100(?:\.0{1,6})?|[0-9]{1,2}(?:\.[0-9]{1,6})?)%", re.ASCII)
KINDS = ("range", "classes", "max_masked", "max_changed", "resolution", "crs")
"""What a check may be about: keys of which it has one."""


def parse_bound(value: Any) -> int | float:
    """Return a number that can be compared: finite or infinite."""
    number = parse_number(value)
    if math.isnan(number):
        refuse("out-of-range", "NaN cannot be compared; pixels that are NaN are masked")
    return number


def parse_share(value: Any) -> str:
    """Return a share of pixels as its shortest text, such as `20%` or `0.5%`."""
    if not isinstance(value, str) or not SHARE.fullmatch(value):
        hint = "write a percentage from `0%` to `100%`, such as `20%` or `0.5%`"
        refuse("share", f"got {show(value)}; expected a share of the pixels", hint)
    whole, _, fraction = value.removesuffix("%").partition(".")
    digits = fraction.rstrip("0")
    return f"{int(whole)}.{digits}%" if digits else f"{int(whole)}%"


def parse_resolution(value: Any) -> list[float]:
    """Return the width and the height of pixels; one number is both."""
    both = value if isinstance(value, list) else [value, value]
    sizes = [parse_finite(one) for one in both]
    if len(sizes) != 2 or min(sizes) <= 0:
        hint = "write the size of a pixel in units of the CRS: `10`, or `[width, height]`"
        refuse("resolution", f"got {show(value)}; expected sizes above 0", hint)
    return [float(one) for one in sizes]


def check_one(check: Mapping[str, Any]) -> None:
    """Check that a check is about one thing, which is possible."""
    given = [name for name in KINDS if check[name] is not None]
    if len(given) != 1:
        got = " and ".join(f"`{name}`" for name in given) or "none"
        hint = "write `- {range: [0, 100]}`, and one more item for each further check"
        refuse("check", f"a check has one of {', '.join(KINDS)}; got {got}", hint)
    bounds = check["range"]
    if bounds is not None and bounds[0] > bounds[1]:
        hint = f"write `[{bounds[1]}, {bounds[0]}]`"
        refuse("check", f"no value is in the range {show(bounds)}", hint)


Bound = Annotated[
    int | float,
    PlainValidator(parse_bound),
    WithJsonSchema({"anyOf": [{"type": "number"}, {"enum": ["Infinity", "-Infinity"]}]}),
]
Share = Annotated[
    str,
    PlainValidator(parse_share),
    WithJsonSchema({"type": "string", "pattern": "^" + SHARE.pattern.replace("(?:", "(") + "$"}),
]
Resolution = Annotated[
    list[float],
    PlainValidator(parse_resolution),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "number", "exclusiveMinimum": 0},
                {
                    "type": "array",
                    "items": {"type": "number", "exclusiveMinimum": 0},
                    "minItems": 2,
                    "maxItems": 2,
                },
            ]
        }
    ),
]
