"""Documents of Earth Engine that are no manifests: what they are, said in one problem."""

from __future__ import annotations

from geobatch.errors import Problem
from geobatch.spec.nodes import MappingNode, Node
from geobatch.spec.shape import to_camel

_REQUESTS = ("image_manifest", "table_manifest")


def foreign_problem(root: MappingNode, path: str) -> Problem | None:
    """Return what a document is, where it is meant for Earth Engine and no manifest.

    Its other keys are then not judged.
    """
    keys = {key.text: key for key, _ in root.entries}
    for name in _REQUESTS:
        for spelling in (name, to_camel(name)):
            if spelling in keys:
                message = "this is a request to Earth Engine, which holds a manifest"
                hint = f"keep what stands under `{spelling}` alone"
                return _problem(keys[spelling], path, "request", message, hint)
    return None


def _problem(node: Node, path: str, rule: str, message: str, hint: str) -> Problem:
    return Problem(
        path=path, line=node.line, column=node.column, rule=rule, message=message, hint=hint
    )
