"""Ways to run tasks: one after the other, on threads, in processes."""

from typing import TYPE_CHECKING

from geobatch.late import late

if TYPE_CHECKING:
    from geobatch.execute.executors.dask.executor import DaskExecutor
    from geobatch.execute.executors.processes import ProcessExecutor
    from geobatch.execute.executors.serial import SerialExecutor
    from geobatch.execute.executors.threads import ThreadExecutor
else:
    # A run uses one or two of them.
    __getattr__ = late(
        __name__,
        {
            "DaskExecutor": "dask.executor",
            "ProcessExecutor": "processes",
            "SerialExecutor": "serial",
            "ThreadExecutor": "threads",
        },
    )

__all__ = ["DaskExecutor", "ProcessExecutor", "SerialExecutor", "ThreadExecutor"]
