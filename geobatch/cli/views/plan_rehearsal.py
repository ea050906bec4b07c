"""What a rehearsed plan changes, as text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from geobatch.cli.words import byte_text, count_text

BANDS_SHOWN = 8
"""Bands of an asset that are printed."""


def rehearsal_lines(document: Mapping[str, Any]) -> Iterator[str]:
    """Yield what executing a plan gave, if it was rehearsed.

    Args:
        document: The plan as JSON.
    """
    found = document.get("rehearsal")
    if found is None:
        return
    if found.get("sample"):
        yield f"Sampled: {found['sample']['bound']}."
        return
    yield (
        f"Rehearsed: content root {found['content_root'][:12]};"
        f" {count_text(found.get('tiles_put', 0), 'tile')} put,"
        f" {byte_text(found.get('bytes_put', 0))}; kept until {found['expires']}."
    )


def rehearsed_lines(rehearsed: Mapping[str, Any]) -> Iterator[str]:
    """Yield how many tiles of an image differ, and how its bands change.

    Args:
        rehearsed: The member of that name of a change.
    """
    counts = [
        f"L{one['level']} {one['different']:,}" for one in rehearsed["levels"] if one["different"]
    ]
    yield f"      differ   {' - '.join(counts) or 'no tile'}"
    bands = [_changed_text(band) for band in rehearsed.get("bands", ()) if _is_changed(band)]
    bands += [_new_text(band) for band in rehearsed.get("values", ())]
    for text in bands[:BANDS_SHOWN]:
        yield f"      pixels   {text}"
    if len(bands) > BANDS_SHOWN:
        yield f"      pixels   and {len(bands) - BANDS_SHOWN} more bands; `--json` lists all"


def _is_changed(band: Mapping[str, Any]) -> bool:
    return any(band[name] for name in ("changed", "masked", "unmasked", "reweighted"))


def _changed_text(band: Mapping[str, Any]) -> str:
    text = f"{band['band']}  {band['changed']:,} of {count_text(band['pixels'], 'pixel')} changed"
    if band["minimum"] is not None and band["maximum"] is not None:
        text += f" by {_signed(band['minimum'])} to {_signed(band['maximum'])}"
    if band["mean"] is not None:
        text += f", mean {_signed(band['mean'])}"
    more = [f"{band[name]:,} {name}" for name in ("masked", "unmasked", "reweighted") if band[name]]
    return ", ".join([text, *more])


def _new_text(band: Mapping[str, Any]) -> str:
    text = f"{band['band']}  {band['changed']:,} of {count_text(band['pixels'], 'pixel')} valid"
    if band["minimum"] is not None and band["maximum"] is not None:
        text += f", {_number(band['minimum'])} to {_number(band['maximum'])}"
    return text if band["mean"] is None else f"{text}, mean {_number(band['mean'])}"


def _signed(number: float) -> str:
    return f"{number:+,}" if isinstance(number, int) else f"{number:+.6g}"


def _number(number: float) -> str:
    return f"{number:,}" if isinstance(number, int) else f"{number:.6g}"
