"""A plan becomes tasks, executors run them, and the scheduler indexes what they put."""

from typing import TYPE_CHECKING

from geobatch.late import late
from geobatch.model.observer import Observer, SilentObserver

if TYPE_CHECKING:
    from geobatch.execute.checking import inside_of
    from geobatch.execute.counts import Counts
    from geobatch.execute.executors.choice import shares_of
    from geobatch.execute.executors.protocol import Executor
    from geobatch.execute.reuse.region_cache import RegionCache
    from geobatch.execute.scheduler import execute
    from geobatch.execute.tables import execute_tables, run_table
    from geobatch.execute.tasks.runner import TaskContext
else:
    # These load what decodes and encodes pixels.
    __getattr__ = late(
        __name__,
        {
            "Counts": "counts",
            "Executor": "executors.protocol",
            "RegionCache": "reuse.region_cache",
            "TaskContext": "tasks.runner",
            "execute": "scheduler",
            "execute_tables": "tables",
            "inside_of": "checking",
            "run_table": "tables",
            "shares_of": "executors.choice",
        },
    )

__all__ = [
    "Counts", "Executor", "Observer", "RegionCache", "SilentObserver", "TaskContext", "execute",
    "execute_tables", "inside_of", "run_table", "shares_of",
]  # fmt: skip
