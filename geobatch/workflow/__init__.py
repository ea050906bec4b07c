"""The stages in a row: load, resolve, plan, execute, publish, show."""

from typing import TYPE_CHECKING

from geobatch.late import late

if TYPE_CHECKING:
    from geobatch.workflow.execution import execute_plan
    from geobatch.workflow.executors import check_executor
else:
    # The second loads what decodes and encodes pixels.
    __getattr__ = late(
        __name__,
        {
            "check_executor": "executors",
            "execute_plan": "execution",
        },
    )

__all__ = ["check_executor", "execute_plan"]
