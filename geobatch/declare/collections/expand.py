"""From one rule to many images: the matching files, and the image of each."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from msgspec import Struct, field
from msgspec.structs import asdict, replace
from pydantic_core import PydanticCustomError

from geobatch.declare.checks.image import is_before
from geobatch.declare.checks.reporter import problem_at
from geobatch.declare.collections.csv_rows import Rows, RowsError, read_rows
from geobatch.declare.collections.deadline import OverdueError, deadline
from geobatch.declare.collections.optional import prepare_optional, without_absent
from geobatch.declare.collections.placeholders import are_matches
from geobatch.declare.collections.template import (
    FORMS,
    Fields,
    Plain,
    Template,
    field_of,
)
from geobatch.declare.fields.collection import BUILT_IN, ForEachManifest
from geobatch.declare.fields.values import check_asset_id, check_property, parse_time, refuse
from geobatch.declare.files import in_bucket
from geobatch.declare.files.find import (
    folder_of,
    is_file,
    is_literal,
    matches,
    missing,
    unusable,
)
from geobatch.declare.files.order import in_order
from geobatch.declare.hints import did_you_mean, listed, show
from geobatch.declare.loading.enough import MAX_HINTED
from geobatch.declare.projects.confine import outside
from geobatch.declare.projects.project import NO_PROJECT, Project
from geobatch.declare.specs import Loc, Positions, RasterSpec, SourceSpec, TilesetSpec
from geobatch.errors import Problem
from geobatch.model.limits import PATTERN_SECONDS

R = TypeVar("R", bound=RasterSpec)
_PARSERS: dict[str, Callable[[str], str]] = {
    "memo": str,
    "moved_from": check_asset_id,
    "start_time": parse_time,
    "end_time": parse_time,
}
"""Parsers that make a value of a template's text, by field."""
MAX_SHOWN = 5
"""How many files are named for one mistake; the others are only counted."""


class Match(Struct, frozen=True):
    """A file that the rule matches."""

    uri: str
    """Uri of the file, as the glob spells it."""
    own: tuple[tuple[str, str | None], ...]
    """Its fields by name, without those that follow from the uri: very many files are held."""
    line: int | None
    """1-based line of its row in the table."""

    @property
    def fields(self) -> Fields:
        """Its fields."""
        name = os.path.basename(self.uri)  # noqa: PTH119 - by the thousand
        stem = os.path.splitext(name)[0]  # noqa: PTH122 - likewise
        return {"file": self.uri, "name": name, "stem": stem, **dict(self.own)}


class Collection(Struct, kw_only=True):
    """A rule being applied; it counts its problems, so that a million files print few lines."""

    id: str
    """Name of the collection."""
    rule: ForEachManifest
    """Which files."""
    positions: Positions
    """Of the document."""
    project: Project = NO_PROJECT
    """What holds for all specs of the project."""
    problems: list[Problem] = field(default_factory=list)
    """What was found."""
    _rows: Rows | None = None
    _columns: frozenset[str] = frozenset()
    _counts: Counter[tuple[Loc, str]] = field(default_factory=Counter)

    def matches(self) -> list[Match]:
        """Return the files with their fields, in order; files with problems are omitted."""
        self._read_rows()
        uris = self._uris()
        if not self.has_fields and not self.problems:
            return []  # nothing is requested of the bucket that has the table
        try:
            with deadline():
                found = [match for uri in uris if (match := self._match(uri)) is not None]
        except OverdueError:
            seconds = PATTERN_SECONDS.value
            message = f"comparing {len(uris):,} names with the patterns takes more than {seconds} s"
            hint = (
                f"write simpler patterns, without repeats in repeats; or, {PATTERN_SECONDS.hint()}"
            )
            self._report(("for_each", "pattern"), "pattern", message, hint)
            found = []
        self._count_rest()
        return found

    @property
    def has_fields(self) -> bool:
        """Whether all fields are known: those of a table are if it was read."""
        return self.rule.csv is None or self._rows is not None

    def check_names(self, templates: dict[Loc, Template]) -> None:
        """Report placeholders without a field in every file."""
        groups = [set(pattern.groupindex) for pattern in self.rule.pattern]
        common = set.intersection(*groups) if groups else set[str]()
        every = set[str]().union(*groups)
        fields = {*BUILT_IN, *common, *self._columns}
        names = sorted(fields)
        for loc, template in templates.items():
            for name in template.names:
                field_, form = field_of(name, fields), name.rpartition(":")
                if field_ in fields:
                    continue
                message, hint = f"no field {show(field_)}", None
                if len(self.problems) < MAX_HINTED:
                    hint = did_you_mean(field_, names)
                if form[0] in fields:
                    message, hint = f"a placeholder has no form {show(form[2])}", FORMS
                if field_ in every:
                    message = f"not every pattern has the group {show(field_)}"
                self._report(("image", *loc), "placeholder", message, hint)

    def images(self, base: R, templates: dict[Loc, Template], found: list[Match]) -> tuple[R, ...]:
        """Return an image for each file, sorted by id.

        Args:
            base: The image, with stand-ins where templates are.
            templates: By loc in the image.
            found: What `matches` returned; it is emptied meanwhile, as very many take memory.
        """
        uris = [self.project.locate(uri, folder_of(self.positions.path)) for uri in self.rule.files]
        if are_matches(base, templates) and not any(uri.is_away or uri.allowed for uri in uris):
            base = replace(base, positions=replace(base.positions, is_of_matches=True))
        maker = _Maker(base=base, templates=templates, columns=self._columns)
        first: dict[str, str] = {}
        kinds: dict[str, tuple[Match, Plain]] = {}
        made = []
        has_optional = any(tileset.is_optional for tileset in base.tilesets)
        folder = folder_of(self.positions.path)
        found.reverse()
        while found:
            match = found.pop()
            try:
                image = maker.image(self.id, match.fields)
            except PydanticCustomError as error:
                context = error.context or {}
                self._report_file(
                    ("image", *maker.at), error.type, context["message"], match, context["hint"]
                )
                continue
            if (other := first.setdefault(image.id, match.uri)) is not match.uri:
                message = f"the asset {show(image.id)} is declared twice: by {show(other)} and"
                hint = "add to `id` a field in which they differ"
                self._report_file(("image", "id"), "duplicate-asset", message, match, hint)
                continue
            self._check_kinds(image, match, kinds)
            made.append(image)
        self._count_rest()
        if has_optional:
            prepare_optional(made, folder)
            made = [without_absent(image, folder) for image in made]
        return tuple(sorted(made, key=lambda image: image.id))

    def _check_kinds(
        self, image: RasterSpec, match: Match, kinds: dict[str, tuple[Match, Plain]]
    ) -> None:
        """Report a property that is text in one image and a number in another."""
        for key, value in image.properties:
            other, first = kinds.setdefault(key, (match, value))
            if isinstance(value, str) is not isinstance(first, str):
                message = (
                    f"the property {show(key)} is {show(first)}, {_kind(first)},"
                    f" {_of(other, self._rows)}, but {show(value)}, {_kind(value)},"
                )
                hint = f"write `'{{{key}:text}}'`, or correct the table"
                self._report_file(
                    ("image", "properties", key), "property-type", message, match, hint
                )

    def _uris(self) -> list[str]:
        folder = folder_of(self.positions.path)
        found: dict[str, None] = {}
        locations = [self.project.locate(uri, folder) for uri in self.rule.files]
        in_bucket.prepare(one for one in locations if one.is_in_bucket and not outside(one))
        for index, uri in enumerate(self.rule.files):
            here: Loc = ("for_each", "files", index)
            is_hinted = len(self.problems) < MAX_HINTED
            location = locations[index]
            if complaint := unusable(location):
                self._report(here, "unsupported-uri", *complaint)
            elif denied := outside(location):
                self._report(here, *denied)
            elif is_literal(location):
                if is_file(location):
                    found[uri] = None
                else:
                    self._report(here, *missing(location, is_hinted=is_hinted))
            else:
                matched = matches(location, is_hinted=is_hinted)
                if matched.problem is not None:
                    self._report(here, *matched.problem)
                found.update((location.file(name).uri, None) for name in matched.files)
        return in_order(found)

    def _read_rows(self) -> None:
        csv = self.rule.csv
        if csv is None:
            return
        here: Loc = ("for_each", "csv", "path")
        folder = folder_of(self.positions.path)
        location = self.project.locate(csv.path, folder)
        complaint = unusable(location)
        if location.is_remote:
            message = f"{show(csv.path)}: a table of properties is not read from a server"
            complaint = message, "copy it beside the spec, or into a bucket"
        if complaint:
            self._report(here, "unsupported-uri", *complaint)
            return
        if denied := outside(location):
            self._report(here, *denied)
            return
        if not is_file(location):
            self._report(here, *missing(location))
            return
        if location.is_in_bucket and location.known.is_offline:
            return
        try:
            rows = read_rows(location, uri=csv.path, key=csv.key)
        except RowsError as error:
            self._report(here, error.rule, error.message, error.hint)
            return
        self._rows = rows
        self._columns = frozenset(rows.columns) - {csv.key}
        taken = {*BUILT_IN, *(name for one in self.rule.pattern for name in one.groupindex)}
        if clash := sorted(taken & self._columns):
            message = f"the columns {listed(clash)} of {show(csv.path)} are already fields"
            self._report(here, "csv", message, "rename the column, or the group of the pattern")

    def _match(self, uri: str) -> Match | None:
        name = os.path.basename(uri)  # noqa: PTH119 - by the thousand
        own: dict[str, str | None] = {}
        patterns = self.rule.pattern
        if patterns:
            for pattern in patterns:
                if match := pattern.fullmatch(name):
                    own = match.groupdict()
                    break
            else:
                if self.rule.unmatched == "refuse":
                    message = f"no pattern matches the name of {show(uri)}"
                    hint = "correct the pattern, or write `unmatched: skip`"
                    self._report(("for_each", "pattern"), "unmatched-file", message, hint)
                return None
        if self._rows is None:
            return Match(uri, tuple(own.items()), None)
        row = self._rows.find(uri, name)
        if row is None:
            message = f"{show(self._rows.path)} has no row for {show(name)}"
            hint = "the key is the name of the file, or its whole uri"
            self._report(("for_each", "csv"), "csv-row", message, hint)
            return None
        line, cells = row
        for column, cell in zip(self._rows.columns, cells, strict=True):
            if column in self._columns:
                own[column] = cell or None
        return Match(uri, tuple(own.items()), line)

    def _report_file(self, loc: Loc, rule: str, message: str, match: Match, hint: str) -> None:
        self._report(loc, rule, f"{message} {_of(match, self._rows)}", hint or None)

    def _report(self, loc: Loc, rule: str, message: str, hint: str | None) -> None:
        self._counts[loc, rule] += 1
        if self._counts[loc, rule] <= MAX_SHOWN:
            self.problems.append(problem_at(self.positions, loc, rule, message, hint))

    def _count_rest(self) -> None:
        for (loc, rule), count in self._counts.items():
            if count > MAX_SHOWN:
                more = count - MAX_SHOWN
                message = f"the same problem in {more:,} more file{'s' if more > 1 else ''}"
                self.problems.append(problem_at(self.positions, loc, rule, message, None))
        self._counts.clear()


class _Maker(Generic[R]):
    """Fills the fields of a file into the templates of an image.

    What no template touches is shared by all images, and no field is validated twice.
    """

    def __init__(self, *, base: R, templates: dict[Loc, Template], columns: frozenset[str]) -> None:
        self.base = base
        self.templates = templates
        self.columns = columns
        self.at: Loc = ()
        """The template being filled in, for errors."""
        own: dict[str, Template] = {}
        self._texts: list[tuple[str, Template]] = []
        self._tilesets: list[tuple[TilesetSpec, dict[Loc, Template]]]
        self._tilesets = [(tileset, {}) for tileset in base.tilesets]
        for loc, template in templates.items():
            if loc[0] == "tilesets":
                self._tilesets[int(loc[1])][1][loc] = template
            elif loc[0] == "properties":
                own[str(loc[1])] = template
            elif loc != ("id",):
                self._texts.append((str(loc[0]), template))
        self._properties: list[tuple[str, Plain | Template]]
        self._properties = sorted((dict(base.properties) | own).items())
        self._same: dict[str, Any] = asdict(base)

    def image(self, folder: str, fields: Fields) -> R:
        """Return the image of a file."""
        self.at = ("id",)
        made = self._same.copy()
        made["id"] = check_asset_id(f"{folder}/{self.templates['id',].text(fields)}")
        for name, template in self._texts:
            self.at = (name,)
            made[name] = _PARSERS[name](template.text(fields))
        start, end = made["start_time"], made["end_time"]
        if start and end and is_before(end, start):
            self.at = ("end_time",)
            message = f"the end {show(end)} is before the start {show(start)}"
            refuse("time-order", message, "correct one of them; `end_time` is exclusive")
        made["properties"] = self._filled(fields)
        made["tilesets"] = tuple(
            [
                self._tileset(*tileset, fields) if tileset[1] else tileset[0]
                for tileset in self._tilesets
            ]
        )
        return type(self.base)(**made)

    def _filled(self, fields: Fields) -> tuple[tuple[str, Plain], ...]:
        found: list[tuple[str, Plain]] = []
        for key, wanted in self._properties:
            if not isinstance(wanted, Template):
                found.append((key, wanted))
                continue
            self.at = ("properties", key)
            value = wanted.value(fields, self.columns)
            if value is not None:
                found.append((key, check_property(value)))
        return tuple(found)

    def _tileset(
        self, tileset: TilesetSpec, templates: dict[Loc, Template], fields: Fields
    ) -> TilesetSpec:
        """Return a tileset with its texts filled in."""
        crs, sources = tileset.crs, list(tileset.sources)
        for loc, template in templates.items():
            self.at = loc
            text = template.text(fields)
            if not text:
                refuse("empty-value", "the text is empty")
            if loc[2] == "crs":
                crs = text
                continue
            number, location = int(loc[3]), int(loc[5])
            source = sources[number]
            uris = (*source.uris[:location], text, *source.uris[location + 1 :])
            sources[number] = SourceSpec(
                uris=uris, affine_transform=source.affine_transform, dimensions=source.dimensions
            )
        return TilesetSpec(
            id=tileset.id,
            sources=tuple(sources),
            dtype=tileset.dtype,
            crs=crs,
            variable=tileset.variable,
            tfrecord=tileset.tfrecord,
            is_optional=tileset.is_optional,
        )


def _kind(value: Plain) -> str:
    return "text" if isinstance(value, str) else "a number"


def _of(match: Match, rows: Rows | None) -> str:
    row = f" (`{rows.path}:{match.line}`)" if rows is not None and match.line else ""
    return f"for {show(match.uri)}{row}"
