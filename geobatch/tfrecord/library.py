"""TensorFlow, imported when a TFRecord is touched: it is slow to import, large, and talkative."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from geobatch.errors import ExportError

_STDERR = 2


def import_tensorflow() -> Any:
    """Return the module.

    Raises:
        ExportError: It is not installed.
    """
    try:
        with _hushed():
            import tensorflow as tf  # noqa: PLC0415
    except ImportError as error:
        raise ExportError(
            f"TFRecord needs TensorFlow, which cannot be imported: {error}",
            hint="install it: `pip install 'geobatch[tfrecord]'`",
        ) from None
    return tf


@contextmanager
def _hushed() -> Iterator[None]:
    """Keep off stderr what the library says of instruction sets and missing GPUs.

    It says so from C++, before any level of its own is in force.
    """
    try:
        kept = os.dup(_STDERR)
    except OSError:  # stderr is closed
        yield
        return
    try:
        with open(os.devnull, "wb") as nowhere:  # noqa: PTH123 - a device, not a file
            os.dup2(nowhere.fileno(), _STDERR)
        yield
    finally:
        os.dup2(kept, _STDERR)
        os.close(kept)
