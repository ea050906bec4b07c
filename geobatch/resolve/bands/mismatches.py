"""Mosaics of sources whose bands differ in their metadata: warnings of a plan."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from geobatch.declare import Loc, RasterSpec
from geobatch.declare.checks.lint import warning
from geobatch.declare.hints import show
from geobatch.errors import Problem
from geobatch.model.sources.declared import DeclaredSource
from geobatch.model.sources.header import Header, Palette

_KINDS = {
    "descriptions": "the descriptions of their bands",
    "colours": "the colours of their bands",
    "units": "the units of their bands",
    "palettes": "their colour tables",
}
"""Metadata of bands that a mosaic takes from its first source."""
_HINT = "put them into separate tilesets, or rewrite one; bands are matched by their index"


def unlike_warnings(
    spec: RasterSpec, tileset: int, files: Sequence[DeclaredSource], headers: Sequence[Header]
) -> Iterator[Problem]:
    """Yield a warning for each kind of metadata in which the sources of a mosaic differ.

    The first source that differs is named, and how many do. No spec depends on such names: bands
    are found by their index, and only external images, which are no mosaics, take ids from files.
    """
    first = headers[0]
    for name, words in _KINDS.items():
        expected = getattr(first, name)
        # The same object mostly: headers that are alike share their members.
        unlike = [
            number
            for number, header in enumerate(headers)
            if getattr(header, name) is not expected and getattr(header, name) != expected
        ]
        if unlike:
            yield from _warning(spec, tileset, files, headers, unlike, name=name, words=words)


def _warning(
    spec: RasterSpec,
    tileset: int,
    files: Sequence[DeclaredSource],
    headers: Sequence[Header],
    unlike: Sequence[int],
    *,
    name: str,
    words: str,
) -> Iterator[Problem]:
    file, other = files[unlike[0]], headers[unlike[0]]
    expected, got = getattr(headers[0], name), getattr(other, name)
    if name == "palettes":
        one, two = _palette_texts(expected, got)
    else:
        one, two = _listed(expected), _listed(got)
    more = f" ({len(unlike):,} of {len(headers):,} sources differ)" if len(unlike) > 1 else ""
    message = (
        f"sources of one tileset differ in {words}: {show(files[0].uri)} has {one},"
        f" {show(file.uri)} has {two}{more}; those of the first file are used"
    )
    loc: Loc = ("tilesets", tileset, "sources", file.source, "uris", file.uri_index)
    yield from warning(spec, loc, "unlike-bands", message, _HINT)


def _listed(values: Sequence[Any]) -> str:
    return show(", ".join("none" if value is None else str(value) for value in values))


def _palette_texts(one: Sequence[Palette | None], two: Sequence[Palette | None]) -> tuple[str, str]:
    """Return the first colours in which two files differ."""
    for mine, yours in zip(one, two, strict=True):
        if mine == yours:
            continue
        for value in range(max(len(mine or ()), len(yours or ()))):
            texts = [_colour(palette, value) for palette in (mine, yours)]
            if texts[0] != texts[1]:
                return texts[0], texts[1]
    return "`none`", "`none`"


def _colour(palette: Palette | None, value: int) -> str:
    if palette is None:
        return "`none`"
    if value >= len(palette):
        return f"no colour for {value}"
    return f"`{', '.join(map(str, palette[value]))}` for {value}"
