"""From one rule to many images: the matching files, and the image of each."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, TypeVar

from msgspec import Struct, field
from msgspec.structs import replace
from pydantic_core import PydanticCustomError

from geobatch.declare.checks.reporter import problem_at
from geobatch.declare.collections.csv_rows import Rows, RowsError, read_rows
from geobatch.declare.collections.deadline import OverdueError, deadline
from geobatch.declare.collections.images import Images, Rule, RuleImages, by_id, may_be_made
from geobatch.declare.collections.inputs import rule_digest
from geobatch.declare.collections.maker import Maker
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
from geobatch.declare.fields.values import refuse
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
from geobatch.declare.loading.spec_cache import SpecCache, encoded
from geobatch.declare.projects.confine import outside
from geobatch.declare.projects.project import NO_PROJECT, Project
from geobatch.declare.specs import Loc, Positions, RasterSpec
from geobatch.errors import InternalError, Problem
from geobatch.model.digest import digest_parts
from geobatch.model.limits import PATTERN_SECONDS

R = TypeVar("R", bound=RasterSpec)
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
        name = self.uri[self.uri.rfind("/") + 1 :]  # by the million
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
    cache: SpecCache = field(default_factory=SpecCache)
    """Rules in which earlier runs found no mistake."""
    problems: list[Problem] = field(default_factory=list)
    """What was found."""
    _rows: Rows | None = None
    _columns: frozenset[str] = frozenset()
    _counts: Counter[tuple[Loc, str]] = field(default_factory=Counter)

    def files(self) -> list[str]:
        """Return the uris of the files that the rule matches, in order; others are reported."""
        self._read_rows()
        uris = self._uris()
        if not self.has_fields and not self.problems:
            return []  # nothing is requested of the bucket that has the table
        try:
            with deadline():
                found = [uri for uri in uris if self.match(uri) is not None]
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

    def images(
        self, base: R, templates: dict[Loc, Template], uris: list[str], *, is_held: bool
    ) -> Sequence[Any]:
        """Return an image for each file, sorted by id; very many are made when they are asked for.

        Args:
            base: The image, with stand-ins where templates are.
            templates: By loc in the image.
            uris: What `files` returned.
            is_held: Whether all are made at once in any case.
        """
        folder = folder_of(self.positions.path)
        places = [self.project.locate(uri, folder) for uri in self.rule.files]
        if are_matches(base, templates) and not any(one.is_away or one.allowed for one in places):
            base = replace(base, positions=replace(base.positions, is_of_matches=True))
        maker = Maker(base=base, templates=templates, columns=self._columns)
        made = Images[R](is_held=is_held or not may_be_made(base, templates, uris))
        digest = b"" if made.is_held else rule_digest(self.id, base, templates, self._columns)
        rule = Rule(base=base, digest=digest, own=self._own, image=partial(self._made, maker))
        inputs, ids = self._inputs(maker, rule, uris)
        found = self.cache.rule(self.positions.path, self.id, inputs) if inputs else None
        if found is not None and all(0 <= number < len(ids) for number in found):
            ids, uris = by_id(ids, uris)
            return RuleImages(rule=rule, ids=ids, uris=uris, samples=found)
        kinds: dict[str, tuple[Match, Plain]] = {}
        for uri in uris:
            match = self.matched(uri)
            try:
                image = maker.image(self.id, match.fields)
            except PydanticCustomError as error:
                context = error.context or {}
                self._report_file(
                    ("image", *maker.at), error.type, context["message"], match, context["hint"]
                )
                continue
            self._check_kinds(image, match, kinds)
            made.add(image, uri)
        for uri, other, asset_id in made.doubles():
            message = f"the asset {show(asset_id)} is declared twice: by {show(other)} and"
            hint = "add to `id` a field in which they differ"
            self._report_file(("image", "id"), "duplicate-asset", message, self.matched(uri), hint)
        self._count_rest()
        if not made.is_held:
            large = made.large(rule)
            if inputs and not self.problems:
                self.cache.put_rule(self.positions.path, self.id, inputs, large.samples)
            return large
        images = made.held()
        if any(tileset.is_optional for tileset in base.tilesets):
            prepare_optional(images, folder)
            images = [without_absent(image, folder) for image in images]
        return tuple(images)

    def _made(self, maker: Maker[R], uri: str) -> R:
        return maker.image(self.id, self.matched(uri).fields)

    def _own(self, uri: str) -> tuple[tuple[str, str | None], ...]:
        return self.matched(uri).own

    def _inputs(self, maker: Maker[R], rule: Rule, uris: list[str]) -> tuple[bytes, list[str]]:
        """Return a digest of all that images are made from, and their ids, not checked.

        The digest is empty if there is no use for it, if it cannot be computed, or if an id cannot
        be made.
        """
        ids: list[str] = []
        if not rule.digest or not self.cache.is_open:
            return b"", ids

        def parts() -> Iterator[bytes]:
            yield rule.digest
            for uri in uris:
                match = self.matched(uri)
                ids.append(maker.id_of(self.id, match.fields))
                yield encoded(uri, match.own) or refuse("encoding", "the name is not UTF-8")

        try:
            return bytes.fromhex(digest_parts(parts())), ids
        except PydanticCustomError:
            return b"", []

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

    def matched(self, uri: str) -> Match:
        """Return a file that `files` returned, with its fields."""
        match = self.match(uri)
        if match is None:
            raise InternalError(f"`{uri}` matches no more")
        return match

    def match(self, uri: str) -> Match | None:
        """Return a file with its fields; None if it does not match, which may be reported."""
        name = uri[uri.rfind("/") + 1 :]  # by the million
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


def _kind(value: Plain) -> str:
    return "text" if isinstance(value, str) else "a number"


def _of(match: Match, rows: Rows | None) -> str:
    row = f" (`{rows.path}:{match.line}`)" if rows is not None and match.line else ""
    return f"for {show(match.uri)}{row}"
