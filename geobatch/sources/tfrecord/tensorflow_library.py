"""TensorFlow, imported late and quietly, and only here."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from geobatch.errors import SourceError
from geobatch.extras import install_hint

_IMPORTING = threading.Lock()
_LOG_LEVEL = "TF_CPP_MIN_LOG_LEVEL"


def tensorflow() -> Any:
    """Return the module `tensorflow`; the first call takes seconds.

    If this process has not imported it before, it gets no GPUs and no threads that would
    slow down geobatch's own; else it stays as its user configured it.

    Raises:
        SourceError: It is not installed, or cannot be imported.
    """
    with _IMPORTING:
        if "tensorflow" in sys.modules:
            return sys.modules["tensorflow"]
        try:
            with _silence():
                import tensorflow as tf  # noqa: PLC0415

                tf.config.set_visible_devices([], "GPU")
                tf.config.threading.set_intra_op_parallelism_threads(1)
                tf.config.threading.set_inter_op_parallelism_threads(2)
        except ImportError as error:
            raise SourceError(
                f"TFRecord files are read by TensorFlow, which cannot be imported: {error}",
                hint=install_hint("tfrecord"),
            ) from None
        return tf


def example_of(record: bytes) -> Any:
    """Return the `tf.train.Example` of a serialized record, or None if it is not one."""
    parse = tensorflow().train.Example.FromString
    from google.protobuf.message import DecodeError  # noqa: PLC0415 - comes with TensorFlow

    try:
        return parse(record)
    except DecodeError:
        return None


@contextmanager
def _silence() -> Iterator[None]:
    """Hide what the import writes to standard error.

    TensorFlow's native code writes there before it reads its log level.
    """
    level = os.environ.get(_LOG_LEVEL)
    os.environ.setdefault(_LOG_LEVEL, "3")
    sys.stderr.flush()
    kept, nothing = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nothing, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nothing)
        if level is None:
            del os.environ[_LOG_LEVEL]
