"""Tasks that keep a store: objects that are read, listed and deleted by whoever runs tasks."""

from typing import TYPE_CHECKING

from geobatch.late import late

if TYPE_CHECKING:
    from geobatch.execute.upkeep.running import run_upkeep
    from geobatch.execute.upkeep.workers import Workers
else:
    # Most runs have no such task, and this loads what keeps a store.
    __getattr__ = late(__name__, {"Workers": "workers", "run_upkeep": "running"})

__all__ = ["Workers", "run_upkeep"]
