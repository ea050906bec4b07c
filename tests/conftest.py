"""What all tests share: the reference, the end-to-end workbench and the shell can be imported."""

from __future__ import annotations

import sys
from pathlib import Path

for folder in ("oracle", "end_to_end", "cli", "workflow", "histories", "export", "spec", "table"):
    sys.path.insert(0, str(Path(__file__).parent / folder))
