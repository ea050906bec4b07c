"""Runs a command that ends when its parent does: attached.py COMMAND..., standard input is a pipe.

A test run may be killed at any instant, and what it started must not stay. The parent keeps the
other end of the pipe: the system closes it with the parent, however that ends.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading


def main() -> None:
    """End the whole process group when the pipe or the command ends."""
    command = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL)

    def wait() -> None:
        command.wait()
        os.killpg(0, signal.SIGKILL)

    threading.Thread(target=wait, daemon=True).start()
    while os.read(0, 1):
        pass
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    main()
