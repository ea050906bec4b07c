"""Documents of Earth Engine that are not manifests: one problem names what they are."""

from __future__ import annotations

from geobatch.declare.fields.keys import to_camel
from geobatch.declare.text.nodes import MappingNode, Node
from geobatch.errors import Problem

_REQUESTS = ("image_manifest", "table_manifest")


def foreign_problem(root: MappingNode, path: str) -> Problem | None:
    """Return a problem if a document is for Earth Engine but not a manifest.

    Its other keys are then not checked.
    """
    keys = {key.text: key for key, _ in root.entries}
    for name in _REQUESTS:
        for spelling in (name, to_camel(name)):
            if spelling in keys:
                message = "this is a request to Earth Engine that contains a manifest"
                hint = f"keep only what is under `{spelling}`"
                return _problem(keys[spelling], path, "request", message, hint)
    return None


def _problem(node: Node, path: str, rule: str, message: str, hint: str) -> Problem:
    return Problem(
        path=path, line=node.line, column=node.column, rule=rule, message=message, hint=hint
    )
