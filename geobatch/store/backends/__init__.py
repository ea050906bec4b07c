"""Where a store keeps its bytes: one protocol, a local disk, memory."""

from typing import TYPE_CHECKING

from geobatch.late import late

if TYPE_CHECKING:
    from geobatch.store.backends.finished import known
    from geobatch.store.backends.local import LocalBackend
    from geobatch.store.backends.object_store import ObjectStoreBackend
    from geobatch.store.backends.workspace import workspace_of
else:
    # A store has one backend; only those of buckets wait for answers.
    __getattr__ = late(
        __name__,
        {
            "LocalBackend": "local",
            "ObjectStoreBackend": "object_store",
            "known": "finished",
            "workspace_of": "workspace",
        },
    )

__all__ = ["LocalBackend", "ObjectStoreBackend", "known", "workspace_of"]
