"""Earth Engine manifests rewritten as YAML specs, with a comment for each choice."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from geobatch.declare.checks.reporter import problem_at
from geobatch.declare.earth_engine.upload_flags import FlagError, UploadFlags, upload_manifest
from geobatch.declare.fields.keys import to_camel
from geobatch.declare.files.find import SCHEME, folder_of
from geobatch.declare.loading.document import draft
from geobatch.declare.projects.project import NO_PROJECT, Project
from geobatch.declare.specs import AssetSpec, RasterSpec, SourceSpec, TableSpec, sources_of
from geobatch.declare.text.nodes import MappingNode, Node, ScalarNode
from geobatch.declare.text.read import read
from geobatch.declare.text.written import write_spec
from geobatch.errors import InternalError, Problem, SpecError

_TYPO = re.compile("pyraminding_?[pP]olicy")
_MOVED = "Relative uris start at this file; those of the manifest started at the manifest."


class Imported(Struct, frozen=True, kw_only=True):
    """A manifest as a spec."""

    spec: AssetSpec
    """What it declares; relative uris start from the new file."""
    text: str
    """The YAML document, in the canonical form."""


def import_manifest(
    data: bytes, *, path: str, folder: Path, project: Project = NO_PROJECT
) -> tuple[Imported, ...]:
    """Return the manifests of a file as specs, one per document.

    Args:
        data: Contents of the file.
        path: Its name; JSON if it ends in `.json`, else YAML.
        folder: Folder of the files to be written, where relative uris will start.
        project: What holds for the specs of the project.

    Raises:
        SpecError: The manifests are wrong; carries every problem.
    """
    file = read(data, path=path)
    problems: list[Problem] = list(file.problems)
    made: list[Imported] = []
    for root in file.documents:
        one = draft(root, path=path, project=project)
        problems += one.problems
        if one.collection is not None:
            message = "this is a geobatch collection, not a manifest"
            positions = one.collection.positions
            problems.append(problem_at(positions, ("kind",), "not-a-manifest", message, None))
        elif not problems and isinstance(root, MappingNode):
            made += [_imported(spec, root, folder) for spec in one.specs]
    if problems:
        raise SpecError(tuple(problems))
    return tuple(made)


def rebased(uri: str, *, start: Path, folder: Path) -> str:
    """Return a relative uri so that it starts at another folder; other uris unchanged."""
    if SCHEME.match(uri) or os.path.isabs(uri):  # noqa: PTH117 - no Path of a uri
        return uri
    moved = os.path.relpath(os.path.join(start, uri), folder)  # noqa: PTH118
    return moved + ("/" if uri.endswith("/") else "")


def moved_to(spec: AssetSpec, folder: Path) -> AssetSpec:
    """Return a spec whose relative uris start at another folder."""
    start = folder_of(spec.path)
    if start == folder:
        return spec
    if spec.uri_prefix:
        # It is put before every uri unchanged, so only it must be moved.
        return replace(spec, uri_prefix=rebased(spec.uri_prefix, start=start, folder=folder))

    def moved(sources: Sequence[SourceSpec]) -> tuple[SourceSpec, ...]:
        return tuple(
            replace(one, uris=tuple(rebased(u, start=start, folder=folder) for u in one.uris))
            for one in sources
        )

    if isinstance(spec, TableSpec):
        return replace(spec, sources=moved(spec.sources))
    return replace(
        spec,
        tilesets=tuple(replace(one, sources=moved(one.sources)) for one in spec.tilesets),
    )


def _imported(spec: AssetSpec, root: MappingNode, folder: Path) -> Imported:
    moved = moved_to(spec, folder)
    above: dict[str, list[str]] = {}
    is_moved = _uris(moved) != _uris(spec)
    if isinstance(spec, TableSpec):
        above["sources"] = [_MOVED] if is_moved else []
    else:
        above["tilesets"] = [*([_MOVED] if is_moved else []), *_on_tilesets(spec)]
        above["bands"] = list(_on_bands(spec, root))
    beside = dict(_beside(spec, root))
    head = [f"From {os.path.basename(spec.path)}."]  # noqa: PTH119 - only the name
    text = write_spec(moved, head=head, above=above, beside=beside)
    _check(moved, text)
    return Imported(spec=moved, text=text)


def _check(spec: AssetSpec, text: str) -> None:
    """Check that a text declares what a spec declares: nothing is lost unnoticed."""
    (root,) = read(text.encode(), path="").documents
    again = draft(root, path="", project=spec.project)
    # Compared as text: NaN, as a missing value, equals itself here.
    if again.problems or [repr(one) for one in again.specs] != [repr(spec)]:
        raise InternalError(f"`{spec.id}` cannot be written as YAML: {again.problems}")


def _uris(spec: AssetSpec) -> tuple[str, list[tuple[str, ...]]]:
    return spec.uri_prefix, [source.uris for _, source in sources_of(spec)]


def _on_tilesets(spec: RasterSpec) -> Iterator[str]:
    if spec.bands is None:
        yield "No bands are declared: all bands of the tilesets, in order, are named b1, b2, ..."
        yield from _on_policy(spec)


def _on_bands(spec: RasterSpec, root: MappingNode) -> Iterator[str]:
    bands = root.get("bands")
    if any(_TYPO.fullmatch(key) for key in _keys(bands)):
        yield "`pyramindingPolicy` of the manifest is read as `pyramidingPolicy`."
    if any(band.pyramiding_policy is None for band in spec.bands or ()):
        yield from _on_policy(spec)


def _on_policy(spec: RasterSpec) -> Iterator[str]:
    if spec.pyramiding_policy is None:
        yield "No pyramiding policy is declared: the default is MEAN. Bands of classes need MODE."


def _beside(spec: AssetSpec, root: MappingNode) -> Iterator[tuple[str, str]]:
    name = root.get("name")
    if isinstance(name, ScalarNode) and name.text != spec.id:
        yield "id", f"{name.text} in Earth Engine"
    if any(_TYPO.fullmatch(key.text) for key, _ in root.entries):
        yield "pyramiding_policy", "`pyramindingPolicy` in the manifest"
    for key, time in (("start_time", spec.start_time), ("end_time", spec.end_time)):
        node = root.get(key, to_camel(key))
        if isinstance(node, MappingNode):
            seconds = node.get("seconds")
            yield key, f"{getattr(seconds, 'text', '')} seconds since 1970 in the manifest"
        elif isinstance(node, ScalarNode) and node.text not in (time, (time or "")[:10]):
            yield key, f"{node.text} in the manifest"


def _keys(node: Node | None) -> Iterator[str]:
    for item in getattr(node, "items", ()):
        if isinstance(item, MappingNode):
            yield from (key.text for key, _ in item.entries)


def spec_of_flags(flags: UploadFlags, *, start: Path, folder: Path) -> str:
    """Return the YAML text of a spec by the flags of `earthengine upload image`.

    Args:
        flags: The flags.
        start: Absolute folder that relative files start from.
        folder: Absolute folder of the spec.

    Raises:
        FlagError: A flag is wrong.
    """
    files = tuple(rebased(file, start=start, folder=folder) for file in flags.files)
    manifest = upload_manifest(replace(flags, files=files))
    # A property that is null is one to delete: here there is none to begin with.
    properties = manifest["properties"].items()
    manifest["properties"] = {key: value for key, value in properties if value is not None}
    (root,) = read(json.dumps(manifest).encode(), path="flags.json").documents
    made = draft(root, path="flags.json")
    if made.problems:
        first = min(made.problems, key=lambda one: (one.line, one.column))
        raise FlagError("; ".join(filter(None, (first.message, first.hint))))
    (spec,) = made.specs
    return write_spec(spec)
