"""What all tests share: the reference and the end-to-end workbench can be imported."""

from __future__ import annotations

import sys
from pathlib import Path

for folder in ("oracle", "end_to_end"):
    sys.path.insert(0, str(Path(__file__).parent / folder))
