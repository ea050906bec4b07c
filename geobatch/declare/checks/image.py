"""Rules between fields: names that must exist or be unique, and times in order."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from contextlib import suppress

from geobatch.declare.checks.reporter import EnoughError, Reporter, problem_at
from geobatch.declare.fields.collection import CollectionManifest
from geobatch.declare.fields.manifest import CheckManifest, Manifest
from geobatch.declare.fields.names import ASSET_ID, without_project
from geobatch.declare.fields.table import TableManifest
from geobatch.declare.hints import show
from geobatch.declare.projects.project import NO_PROJECT, Project
from geobatch.declare.specs import Loc, Positions
from geobatch.errors import Problem
from geobatch.model.assets.asset import Kind

NOT_EXTERNAL = {
    "tiling": "the COGs define its tiles",
    "codec": "geobatch stores no tiles of it",
    "grid": "the COGs define its canvas",
}
"""Keys that are not allowed in an external image, and why."""


class Check(Reporter, kw_only=True):
    """The rules that need more than one field of a document."""

    manifest: Manifest
    """Fields, each valid by itself."""
    project: Project = NO_PROJECT
    """Settings of all specs of the project."""
    lost: frozenset[str] = frozenset()
    """Top-level keys that lost a part to earlier problems: what they name cannot be checked."""
    _tileset_ids: frozenset[str] = frozenset()

    def run(self) -> None:
        """Apply every rule, until there are enough problems."""
        with suppress(EnoughError):
            self._run()

    def _run(self) -> None:
        self._tileset_ids = frozenset(tileset.id for tileset in self.manifest.tilesets)
        self._identity()
        self._tilesets()
        self._bands()
        self._array_bands()
        self._masks()
        self._checks()
        self._times()
        if self.manifest.kind is Kind.EXTERNAL_IMAGE:
            self._external()
        elif self.manifest.allow_unpinned:
            message = "`allow_unpinned` has no effect on an image that is ingested"
            hint = "remove it, or write `kind: external_image`"
            self.report(("allow_unpinned",), "external-image", message, hint)

    def _identity(self) -> None:
        manifest = self.manifest
        self.problems += identity_problems(manifest, self.positions, self.lost, self.project)
        if not manifest.tilesets and "tilesets" not in self.lost:
            hint = "add `tilesets: [{sources: [{uris: [file.tif]}]}]`"
            self.report(("tilesets",), "missing-key", "`tilesets` is missing or empty", hint)

    def _tilesets(self) -> None:
        ids = ((("tilesets", i, "id"), part.id) for i, part in enumerate(self.manifest.tilesets))
        self._unique(ids, "tileset")
        for index, tileset in enumerate(self.manifest.tilesets):
            names = tileset.tfrecord.features if tileset.tfrecord else []
            here: Loc = ("tilesets", index, "tfrecord", "features")
            self._unique((((*here, i), one.name) for i, one in enumerate(names)), "feature")
        if self.manifest.skip_metadata_read:
            self._check_stated()

    def _check_stated(self) -> None:
        """Report what must be declared where the files' metadata is not read."""
        for index, tileset in enumerate(self.manifest.tilesets):
            here: Loc = ("tilesets", index)
            wanted: list[tuple[Loc, str]] = [
                (here, name) for name in ("crs", "data_type") if getattr(tileset, name) is None
            ]
            for number, source in enumerate(tileset.sources):
                there = (*here, "sources", number)
                wanted += [
                    (there, name)
                    for name in ("affine_transform", "dimensions")
                    if getattr(source, name) is None
                ]
            for loc, name in wanted:
                hint = f"add `{name}`, or remove `skip_metadata_read`"
                message = f"`{name}` is missing; `skip_metadata_read` requires it"
                self.report(loc, "missing-key", message, hint)

    def _bands(self) -> None:
        bands = self.manifest.bands
        # An id that was refused already is empty here.
        ids = ((("bands", i, "id"), band.id) for i, band in enumerate(bands) if band.id)
        self._unique(ids, "band", is_folder=True)
        for index, band in enumerate(bands):
            self._tileset(("bands", index), band.tileset_id)
            loc = ("bands", index, "tileset_band_index")
            if band.feature is not None and loc in self.positions.by_loc:
                message = f"the band has both the feature {show(band.feature)} and an index"
                self.report(loc, "feature", message, "remove the index")

    def _array_bands(self) -> None:
        bands = {band.id for band in self.manifest.bands}
        is_complete = bool(bands) and "bands" not in self.lost
        for name, members in self.manifest.array_bands.items():
            here: Loc = ("array_bands", name)
            if name in bands:
                hint = "a tensor and a band cannot have the same name; choose another"
                self.report(here, "duplicate-band", f"{show(name)} is already a band", hint)
            seen: set[str] = set()
            for position, one in enumerate(members):
                is_second = one in seen
                seen.add(one)
                if is_second:
                    message = f"{show(one)} appears twice in {show(name)}"
                    self.report((*here, position), "duplicate-band", message, "keep one")
                elif is_complete and one not in bands:
                    message, loc = f"no band {show(one)}", (*here, position)
                    self.report(loc, "unknown-band", message, self.hint(one, bands))

    def _masks(self) -> None:
        bands = {band.id for band in self.manifest.bands}
        is_complete = bool(bands) and "bands" not in self.lost
        every = sorted(bands) or [""]
        masked: set[str] = set()
        is_full = False
        for index, mask in enumerate(self.manifest.mask_bands):
            here: Loc = ("mask_bands", index)
            self._tileset(here, mask.tileset_id)
            for position, band in enumerate(mask.band_ids):
                loc = (*here, "band_ids", position)
                if is_complete and band not in bands:
                    message = f"no band {show(band)}"
                    self.report(loc, "unknown-band", message, self.hint(band, bands))
            for band in dict.fromkeys(mask.band_ids) or every:
                if band in masked or (masked and (band == "" or "" in masked)):
                    name = f"the band {show(band)}" if band else "every band"
                    hint = "a band has at most one mask band; list `band_ids`"
                    self.report((*here, "band_ids"), "mask-band", f"{name} is masked twice", hint)
                    break
            masked.update(mask.band_ids if mask.band_ids or is_full else every)
            is_full = is_full or not mask.band_ids
        footprint = self.manifest.footprint
        if footprint and footprint.band_id and is_complete and footprint.band_id not in bands:
            band = footprint.band_id
            message = f"no band {show(band)}"
            loc = ("footprint", "band_id")
            self.report(loc, "unknown-band", message, self.hint(band, bands))

    def _checks(self) -> None:
        bands = {band.id for band in self.manifest.bands}
        can_judge = bool(bands) and "bands" not in self.lost
        for index, check in enumerate(self.manifest.checks):
            for place, band in enumerate(check.bands):
                if can_judge and band not in bands:
                    message, loc = f"no band {show(band)}", ("checks", index, "bands", place)
                    self.report(loc, "unknown-band", message, self.hint(band, bands))
            if self.manifest.kind is Kind.EXTERNAL_IMAGE:
                self._external_check(index, check)

    def _external_check(self, index: int, check: CheckManifest) -> None:
        for name in ("range", "classes", "max_masked", "max_changed"):
            if getattr(check, name) is not None:
                message = f"`{name}` cannot be checked of an external image: no pixel is ingested"
                hint = "only `crs` and `resolution` can; or write `kind: image`"
                self.report(("checks", index, name), "external-image", message, hint)

    def _external(self) -> None:
        for key, why in NOT_EXTERNAL.items():
            if getattr(self.manifest, key) is not None:
                message = f"`{key}` has no effect on an external image: {why}"
                self.report((key,), "external-image", message, f"remove `{key}`")
        for index, tileset in enumerate(self.manifest.tilesets):
            if len(tileset.sources) > 1:
                message = f"{len(tileset.sources)} sources: an external image has one per tileset"
                hint = "give each COG a tileset of its own, or mosaic them with `kind: image`"
                loc = ("tilesets", index, "sources", 1)
                self.report(loc, "external-image", message, hint)

    def _times(self) -> None:
        start, end = self.manifest.start_time, self.manifest.end_time
        if start and end and is_before(end, start):
            message = f"the end {show(end)} is before the start {show(start)}"
            hint = "correct one of them; `end_time` is exclusive"
            self.report(("end_time",), "time-order", message, hint)

    def _tileset(self, loc: Loc, name: str | None) -> None:
        tilesets = self.manifest.tilesets
        ids = (tileset.id for tileset in tilesets)
        if not tilesets or "tilesets" in self.lost:
            return
        if name is None:
            if len(tilesets) > 1:
                message = f"`tileset_id` is missing, and there are {len(tilesets)} tilesets"
                self.report(loc, "missing-key", message, self.hint("", ids))
        elif name not in self._tileset_ids:
            hint = self.hint(name, filter(None, ids)) or (
                f"the tileset has no id: give it `id: {name}`, or omit `tileset_id`"
            )
            message = f"no tileset {show(name)}"
            self.report((*loc, "tileset_id"), "unknown-tileset", message, hint)

    def _unique(
        self, ids: Iterable[tuple[Loc, str]], noun: str, *, is_folder: bool = False
    ) -> None:
        """Report names that appear twice; names of folders, also if they differ only by case."""
        first: dict[str, tuple[Loc, str]] = {}
        for loc, name in ids:
            there, other = first.setdefault(name.casefold() if is_folder else name, (loc, name))
            if there == loc:
                continue
            path, line, _ = self.positions.where(there)
            message = f"the {noun} {show(name)} is declared twice"
            if other != name:
                message = f"the {noun}s {show(other)} and {show(name)} differ only by case"
            hint = f"line {line} already has it; choose another id"
            if other != name:
                hint = f"{show(other)} is at {path}:{line}; on many disks they are one folder"
            self.report(loc, f"duplicate-{noun}", message, hint)


def identity_problems(
    manifest: Manifest | CollectionManifest | TableManifest,
    positions: Positions,
    lost: Collection[str],
    project: Project,
) -> list[Problem]:
    """Return what is wrong with the names of a document; `lost` are keys with problems already."""
    found = []
    if manifest.id is not None and manifest.name is not None:
        message = "`id` and `name` both name the asset"
        found.append(problem_at(positions, ("name",), "duplicate-key", message, "keep `id`"))
    if manifest.id is None and manifest.name is None and not {"id", "name"} & set(lost):
        hint = "add `id: folder/asset`"
        found.append(problem_at(positions, (), "missing-key", "`id` is missing", hint))
    name = manifest.name
    if name is not None and project.keeps_prefix and not re.fullmatch(ASSET_ID, name):
        message = f"{show(name)} with its prefix is not a valid asset id"
        hint = f"remove the prefix: `id: {without_project(name)}`"
        found.append(problem_at(positions, ("name",), "asset-id", message, hint))
    return found


def asset_id_of(manifest: Manifest | CollectionManifest | TableManifest, project: Project) -> str:
    """Return the id of a document's asset; a name keeps or loses `projects/P/assets/`."""
    if manifest.id is not None or manifest.name is None:
        return manifest.id or ""
    return manifest.name if project.keeps_prefix else without_project(manifest.name)


def is_before(time: str, other: str) -> bool:
    """Return whether a time comes before another; both as `parse_time` returns them."""
    return _order(time) < _order(other)


def _order(time: str) -> tuple[str, str]:
    return (time[:19], time[19:].strip(".Z").ljust(9, "0"))
