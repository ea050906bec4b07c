"""Spec files to specs: each document read, checked and cached."""

from typing import TYPE_CHECKING

from geobatch.late import late

if TYPE_CHECKING:
    from geobatch.declare.loading.drafts import Drafting
else:
    # This imports much that a spec file in the cache does not need.
    __getattr__ = late(
        __name__,
        {
            "Drafting": "drafts",
        },
    )

__all__ = ["Drafting"]
