"""Documents of Earth Engine that are no image manifests: what they are, said in one problem."""

from __future__ import annotations

from geobatch.errors import Problem
from geobatch.spec.nodes import ListNode, MappingNode, Node, ScalarNode
from geobatch.spec.shape import to_camel

_TABLE_KEYS = {"column_data_type_overrides", "csv_column_data_type_overrides", "policy"}
"""Keys that only table manifests have."""
_REQUESTS = ("image_manifest", "table_manifest")


def foreign_problem(root: MappingNode, path: str) -> Problem | None:
    """Return what a document is, where it is meant for Earth Engine and not built here.

    Its other keys are then not judged. A table manifest is known by its keys, or by `sources`
    without `tilesets` that name no TIFF.
    """
    keys = {key.text: key for key, _ in root.entries}
    for name in _REQUESTS:
        for spelling in (name, to_camel(name)):
            if spelling in keys:
                message = "this is a request to Earth Engine, which holds a manifest"
                hint = f"keep what stands under `{spelling}` alone"
                return _problem(keys[spelling], path, "request", message, hint)
    marks = [key for name in _TABLE_KEYS for key in (name, to_camel(name)) if key in keys]
    is_image = any(name in keys for name in ("tilesets", "bands", "kind"))
    if not marks and "sources" in keys and not is_image:
        uris = [uri.lower() for uri in _uris(root.get("sources"))]
        marks = ["sources"] if uris and not any(".tif" in uri for uri in uris) else []
    if not marks or is_image:
        return None
    message = "this is a table manifest, and tables are not supported yet"
    hint = "keep it out of the specs; only images are ingested"
    return _problem(keys[marks[0]], path, "unsupported-kind", message, hint)


def _uris(sources: Node | None) -> list[str]:
    found: list[str] = []
    for source in sources.items if isinstance(sources, ListNode) else ():
        uris = source.get("uris") if isinstance(source, MappingNode) else None
        if isinstance(uris, ListNode):
            found += [uri.text for uri in uris.items if isinstance(uri, ScalarNode)]
    return found


def _problem(node: Node, path: str, rule: str, message: str, hint: str) -> Problem:
    return Problem(
        path=path, line=node.line, column=node.column, rule=rule, message=message, hint=hint
    )
