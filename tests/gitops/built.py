"""Which commands the pipelines call that geobatch has."""

from __future__ import annotations

import pytest
from shell import geobatch

HAS_REVIEW = geobatch("review", "--help").code == 0
HAS_REHEARSAL = "--rehearse" in geobatch("plan", "--help").out

needs_review = pytest.mark.skipif(not HAS_REVIEW, reason="`geobatch review` is not built yet")
needs_rehearsal = pytest.mark.skipif(
    not HAS_REHEARSAL, reason="`geobatch plan --rehearse` is not built yet"
)
