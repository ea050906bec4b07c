"""Messages for programs that use geobatch, by `logging`; they are shown only if asked for."""

from __future__ import annotations

import logging

# A library shows nothing unless the program that uses it sets up logging.
logging.getLogger("geobatch").addHandler(logging.NullHandler())


def logger_of(name: str) -> logging.Logger:
    """Return the logger of a module, below `geobatch`."""
    return logging.getLogger(name)
