"""Plans: what is done to each asset and why, as values and as JSON."""

from typing import TYPE_CHECKING

from geobatch.late import late

if TYPE_CHECKING:
    from geobatch.model.plans.notebook import plan_html, plan_text
else:
    # Only notebooks need these.
    __getattr__ = late(
        __name__,
        {
            "plan_html": "notebook",
            "plan_text": "notebook",
        },
    )

__all__ = ["plan_html", "plan_text"]
