"""The limits of what one input may cost; a variable of the environment replaces each."""

from __future__ import annotations

import os
from collections.abc import Mapping

from msgspec import Struct

from geobatch.errors import SettingError

PREFIX = "GEOBATCH_MAX_"
"""How the variables begin."""
_MOST_DIGITS = 18
_FACTOR = 16
"""How many times its size a part of a file may have in memory."""
_LARGE = 1 << 30
"""Most bytes of such a part without a variable of the environment."""


class Limit(Struct, frozen=True, kw_only=True):
    """The most of one thing that an input may need."""

    name: str
    """What is limited, such as `block_bytes`."""
    default: int
    """The most, unless the environment says otherwise."""
    unit: str
    """What is counted."""
    guards: str
    """What a larger value would cost, in one line."""

    @property
    def variable(self) -> str:
        """The variable of the environment that replaces the default."""
        return PREFIX + self.name.upper()

    @property
    def value(self) -> int:
        """The most that is allowed now.

        Raises:
            SettingError: The variable is not a whole number above 0.
        """
        text = os.environ.get(self.variable, "")
        return _number(self.variable, text) if text else self.default

    def of_file(self, size: int) -> int:
        """Return the most for a file of a size in bytes: what a large file holds is no surprise."""
        return max(self.value, min(_FACTOR * size, _LARGE))

    def hint(self, needed: int | None = None) -> str:
        """Return how to allow more.

        Args:
            needed: The value that suffices; None if it is not known.
        """
        value = 10 * self.value if needed is None else needed
        return f"if you trust the input, allow more: `{self.variable}={value}`"


def _number(variable: str, text: str) -> int:
    is_number = text.isascii() and text.isdecimal() and len(text) <= _MOST_DIGITS
    if not is_number or not int(text):
        raise SettingError(
            f"`{variable}` is `{text[:40]}`, expected a whole number above 0",
            hint=f"write it as in `{variable}=1000000`, or unset it",
        )
    return int(text)


SPEC_BYTES = Limit(
    name="spec_bytes",
    default=10 << 20,
    unit="bytes",
    guards="memory and time to load one spec file or project file; Earth Engine's limit",
)
SPEC_VALUES = Limit(
    name="spec_values",
    default=500_000,
    unit="values",
    guards="memory of one document of a spec file, after its aliases are resolved",
)
SPEC_PROBLEMS = Limit(
    name="spec_problems",
    default=1000,
    unit="problems",
    guards="time to find and print what is wrong with one spec file",
)
CSV_BYTES = Limit(
    name="csv_bytes",
    default=32 << 20,
    unit="bytes",
    guards="memory of the table of a collection",
)
CSV_ROWS = Limit(
    name="csv_rows",
    default=1_000_000,
    unit="rows",
    guards="memory of the table of a collection: a row of few bytes takes 300 in memory",
)
CSV_CELLS = Limit(
    name="csv_cells",
    default=4_000_000,
    unit="cells",
    guards="memory of the table of a collection, whose cells may be empty",
)
GLOB_ENTRIES = Limit(
    name="glob_entries",
    default=1_000_000,
    unit="files and folders",
    guards="time to search folders for one glob",
)
GLOB_SECONDS = Limit(
    name="glob_seconds",
    default=4,
    unit="seconds",
    guards="time to search slow folders for one glob",
)
PATTERN_SECONDS = Limit(
    name="pattern_seconds",
    default=2,
    unit="seconds",
    guards="processor time to compare file names with the patterns of one collection",
)
BLOCK_BYTES = Limit(
    name="block_bytes",
    default=64 << 20,
    unit="bytes",
    guards="memory of one decoded block of a source, unless its file is large: each worker may hold"
    " one",
)
BLOCKS = Limit(
    name="blocks",
    default=1 << 23,
    unit="blocks",
    guards="memory of the tables of blocks of one TIFF",
)
TAG_BYTES = Limit(
    name="tag_bytes",
    default=32 << 20,
    unit="bytes",
    guards="memory of the tags of one TIFF, except its tables of blocks",
)
BANDS = Limit(
    name="bands",
    default=4096,
    unit="bands",
    guards="time to probe and plan one TIFF or one asset",
)
TILES = Limit(
    name="tiles",
    default=1 << 24,
    unit="tiles",
    guards="memory to plan and compute one image: tiles of one band at full resolution",
)
RECORD_BYTES = Limit(
    name="record_bytes",
    default=8 << 20,
    unit="bytes",
    guards="memory of one compressed TFRecord record, unless its file is large",
)
RECORD_FEATURES = Limit(
    name="record_features",
    default=10_000,
    unit="features",
    guards="memory of one parsed TFRecord record",
)

ANSWER_SECONDS = Limit(
    name="answer_seconds",
    default=120,
    unit="seconds",
    guards="time to wait for one answer of a server, besides a second for every 16 KiB; half of it"
    " without a byte",
)
PROBE_SECONDS = Limit(
    name="probe_seconds",
    default=300,
    unit="seconds",
    guards="time to read the header of one COG on a server, with all its requests",
)
HEADER_BYTES = Limit(
    name="header_bytes",
    default=64 << 20,
    unit="bytes",
    guards="memory of the header of one COG on a server",
)
REQUEST_BYTES = Limit(
    name="request_bytes",
    default=256 << 20,
    unit="bytes",
    guards="memory of one answer of a server, such as one stored tile",
)

LIMITS = (
    SPEC_BYTES, SPEC_VALUES, SPEC_PROBLEMS, CSV_BYTES, CSV_ROWS, CSV_CELLS, GLOB_ENTRIES,
    GLOB_SECONDS, PATTERN_SECONDS, BLOCK_BYTES, BLOCKS, TAG_BYTES, BANDS, TILES,
    RECORD_BYTES, RECORD_FEATURES, ANSWER_SECONDS, PROBE_SECONDS, HEADER_BYTES, REQUEST_BYTES,
)  # fmt: skip
"""All of them, in the order of `docs/limits.md`."""


def check_variables(environment: Mapping[str, str]) -> None:
    """Refuse variables that raise no limit, or raise one to no number.

    Raises:
        SettingError: A variable begins like those of the limits, and is none; or is no number.
    """
    known = {limit.variable for limit in LIMITS}
    for variable, text in environment.items():
        if not variable.startswith(PREFIX):
            continue
        if variable not in known:
            names = ", ".join(f"`{name}`" for name in sorted(known))
            raise SettingError(f"`{variable}` is not a limit", hint=f"the limits are {names}")
        if text:
            _number(variable, text)
