"""The fields of a collection document: which files, and the image that each of them becomes."""

from __future__ import annotations

import re
import warnings
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Field, PlainValidator, WithJsonSchema

from geobatch.declare.collections.deadline import OverdueError, deadline
from geobatch.declare.fields.manifest import Manifest, Part, TilesetManifest
from geobatch.declare.fields.table import TableManifest
from geobatch.declare.fields.values import (
    TIME_SCHEMA,
    AssetId,
    AssetName,
    CollectionKind,
    ImageKind,
    Text,
    check_asset_id,
    parse_time,
    refuse,
)
from geobatch.declare.hints import show
from geobatch.declare.text.nodes import ListNode, MappingNode, Node, ScalarNode
from geobatch.model.assets.asset import Kind
from geobatch.model.limits import PATTERN_SECONDS

BUILT_IN = ("file", "name", "stem")
"""Fields of every file: its uri, its name, and its name without the last suffix."""


_MOST_CHARACTERS = 5000
"""Of a pattern: no name of a file is longer than 255."""


def parse_pattern(value: Any) -> re.Pattern[str]:
    """Return a compiled regular expression."""
    if not isinstance(value, str):
        refuse("wrong-type", f"`pattern` must be text, got {show(value)}")
    if len(value) > _MOST_CHARACTERS:
        refuse("pattern", f"a pattern has at most {_MOST_CHARACTERS} characters, got {len(value)}")
    try:
        with deadline(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what another Python may read differently
            pattern = re.compile(value, re.ASCII)
    except OverdueError:
        refuse("pattern", f"compiling {show(value)} takes more than {PATTERN_SECONDS.value} s")
    except (re.error, RecursionError, OverflowError) as error:
        hint = "write a Python regular expression, in single quotes"
        refuse("pattern", f"{show(value)} is not a valid regular expression: {error}", hint)
    for name in pattern.groupindex:
        if name in BUILT_IN:
            hint = "choose another name"
            refuse("pattern", f"every file already has a field {show(name)}", hint)
    return pattern


Pattern = Annotated[
    re.Pattern[str], PlainValidator(parse_pattern), WithJsonSchema({"type": "string"})
]
TimeTemplate = Annotated[
    str,
    PlainValidator(parse_time),
    WithJsonSchema({"anyOf": [*TIME_SCHEMA["anyOf"], {"type": "string", "pattern": r"[{}]"}]}),
]


IdTemplate = Annotated[str, AfterValidator(check_asset_id), WithJsonSchema({"type": "string"})]


class CsvManifest(Part):
    """A table with more values for each file."""

    required: ClassVar[tuple[str, ...]] = ("path",)

    path: Text = "table.csv"
    """CSV file in UTF-8, relative to the spec file; its first line names the columns."""
    key: Text = "file"
    """Column that holds the name of the file that a row describes."""


class ForEachManifest(Part):
    """The files of a collection, and what to extract from their names."""

    required: ClassVar[tuple[str, ...]] = ("files",)
    one_or_many: ClassVar[frozenset[str]] = frozenset({"files", "pattern"})

    files: Annotated[list[Text], Field(min_length=1)] = Field(default_factory=list)
    """Globs, relative to the spec file; each matching file becomes an image."""
    pattern: list[Pattern] = Field(default_factory=list)
    """Regular expressions for the whole name of a file; named groups become fields."""
    unmatched: Literal["refuse", "skip"] = "refuse"
    """What to do with a file that no pattern matches."""
    csv: CsvManifest | None = None
    """Table with a row for every file; its columns become fields."""


class TemplateManifest(Manifest):
    """The image that each file becomes; texts may hold placeholders such as `{tile}`."""

    required: ClassVar[tuple[str, ...]] = ("id",)
    barred: ClassVar[dict[str, str]] = {
        "name": "write the collection's `id` at the top, and an `id` under `image`",
        "uri_prefix": "write the whole path in `for_each.files`",
        "for_each": "it belongs next to `image`, at the top level",
        "image": "it belongs next to `for_each`, at the top level",
        "cube": "it belongs next to `for_each`, at the top level",
    }

    kind: ImageKind | None = None
    """Kind of each image; `image` by default."""
    id: Text = "image"
    """Name of the image below the collection's id, such as `'{tile}_{date}'`."""
    moved_from: IdTemplate | None = None
    """Full former id of the published image, such as `'s2/old/{stem}'`."""
    tilesets: list[TilesetManifest] = Field(default_factory=list)
    """Where the pixels come from; by default only the file, `{file}`."""
    start_time: TimeTemplate | None = None
    """Start, RFC 3339 or a date, such as `'{date:%Y%m%d}'`."""
    end_time: TimeTemplate | None = None
    """End, exclusive."""


class CollectionManifest(Part):
    """Images made by one rule: one for each matching file."""

    required: ClassVar[tuple[str, ...]] = ("for_each", "image")
    barred: ClassVar[dict[str, str]] = {
        key: "keys of the images belong under `image`"
        for key in Manifest.model_fields
        if key not in ("kind", "id", "name")
    }

    kind: CollectionKind | None = None
    """What the asset is."""
    id: AssetId | None = None
    """`/`-separated name of the collection, the folder of its images."""
    name: AssetName | None = None
    """Earth Engine's spelling of the id: `projects/P/assets/ID`."""
    cube: bool = False
    """Whether the images of each folder are also shown as one array along time."""
    for_each: ForEachManifest | None = None
    """The files."""
    image: TemplateManifest | None = None
    """The image that each file becomes."""


def document_part(root: MappingNode) -> type[Manifest | CollectionManifest | TableManifest]:
    """Return the class that checks a document's keys, by its `kind`.

    Earth Engine's manifests have none: those with `sources` are of tables, unless these are TIFFs,
    which stand under `tilesets`.
    """
    kind, sources = root.get("kind"), root.get("sources")
    if kind is None and root.get("tilesets") is None and sources is not None:
        return Manifest if _holds_tiff(sources) else TableManifest
    word = kind.text.lower() if isinstance(kind, ScalarNode) else ""
    return _PARTS.get(word, Manifest)


def _holds_tiff(node: Node) -> bool:
    """Return whether any text below a node names a TIFF."""
    if isinstance(node, ScalarNode):
        return node.text.lower().endswith((".tif", ".tiff"))
    if isinstance(node, ListNode):
        return any(_holds_tiff(item) for item in node.items)
    return isinstance(node, MappingNode) and any(_holds_tiff(child) for _, child in node.entries)


_PARTS: dict[str, type[Manifest | CollectionManifest | TableManifest]] = {
    Kind.IMAGE_COLLECTION: CollectionManifest,
    Kind.TABLE: TableManifest,
}
