"""Memory that tiles free is kept while a run goes on, and given back at its end."""

from __future__ import annotations

import ctypes
import subprocess
import sys

import pytest

# In a process of its own: what is set cannot be unset, and the tests before leave holes.
SCRIPT = """
import resource
from geobatch.execute.allocator import keep_freed_memory, return_freed_memory

def use():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    held = [bytearray(b"x") * (28 << 20) for _ in range(2)]
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

keep_freed_memory()
use()
again = use() + use() + use()
return_freed_memory()
print(again, use())
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="glibc alone is told")
def test_arrays_are_taken_from_what_those_before_left() -> None:
    command = [sys.executable, "-c", SCRIPT]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    again, after = map(int, said.split())
    assert again < after / 10
    assert after > 1000, "nothing was given back"
