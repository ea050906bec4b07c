"""What a plan does to a cube."""

from __future__ import annotations

from msgspec import Struct

from geobatch.model.digest import Json


class CubeChange(Struct, frozen=True, kw_only=True):
    """What happens to the cube of a folder; its chunks are tiles, so nothing is computed."""

    id: str
    """Folder of its images."""
    action: str
    """`create`, `update` or `delete`."""
    images: int
    """How many images it has then, each a step in time."""
    added: int = 0
    """Images that become steps."""
    changed: int = 0
    """Steps whose image changes."""
    removed: int = 0
    """Steps that go."""

    def to_json(self) -> dict[str, Json]:
        """Return the form that `plan --json` prints."""
        return {name: getattr(self, name) for name in self.__struct_fields__}
