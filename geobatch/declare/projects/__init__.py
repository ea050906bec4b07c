"""Project files: what `geobatch.yaml` says for all specs of a project."""

from typing import TYPE_CHECKING

from geobatch.late import late

if TYPE_CHECKING:
    from geobatch.declare.projects.allow import allowed
    from geobatch.declare.projects.project_file import read_project
else:
    # Checking imports much that a project file in the cache does not need.
    __getattr__ = late(
        __name__,
        {
            "allowed": "allow",
            "read_project": "project_file",
        },
    )

__all__ = ["allowed", "read_project"]
