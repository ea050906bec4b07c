"""Messages for programs that use geobatch, by `logging`; they are shown only if asked for."""

from __future__ import annotations

import sys


class Logger:
    """Logs below `geobatch`, as `logging` does, and loads nothing.

    A program that did not import `logging` shows no messages: then nothing is done. So a plan that
    finds nothing to do need not wait for `logging` to load.
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def info(self, message: str, *parts: object) -> None:
        """Log an event of a run."""
        self._log(20, message, parts)

    def warning(self, message: str, *parts: object) -> None:
        """Log what a user should know."""
        self._log(30, message, parts)

    def _log(self, level: int, message: str, parts: tuple[object, ...]) -> None:
        logging = sys.modules.get("logging")
        if logging is None:
            return
        root = logging.getLogger("geobatch")
        if not root.handlers:  # a library prints nothing unless its user asks for it
            root.addHandler(logging.NullHandler())
        logging.getLogger(self._name).log(level, message, *parts, stacklevel=3)
