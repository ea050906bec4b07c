"""Errors of workers, which name the worker and can be sent."""

from __future__ import annotations

import pickle
import traceback

from geobatch.errors import GeobatchError, InternalError


def at_worker(error: GeobatchError, address: str) -> GeobatchError:
    """Return an error whose hint names the worker that met it, without the errors behind it.

    Its message says what these said. They may be of libraries whose errors cannot be sent: GDAL's
    cannot be unpacked where the library `tblib` was loaded before rasterio.
    """
    error.__cause__ = error.__context__ = None
    where = f"the worker `{address}` met this"
    error.hint = f"{error.hint}; {where}" if error.hint else where
    return error


def portable(error: Exception, address: str) -> Exception:
    """Return an error that was not expected as one that can be sent."""
    if isinstance(error, GeobatchError):
        return at_worker(error, address)
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301 - what was packed here
    except Exception:  # noqa: BLE001 - whatever it needs, it is not here
        text = "".join(traceback.format_exception(error))
        return InternalError(f"on the worker `{address}`: {text}")
    error.add_note(f"on the worker `{address}`: {''.join(traceback.format_exception(error))}")
    return error


def text_of(problem: object) -> str:
    """Return what is wrong, as a worker reports it, or the error of asking it."""
    if isinstance(problem, Exception) and "ModuleNotFoundError" in repr(problem):
        return f"it has not the same geobatch installed: {problem}"
    if isinstance(problem, Exception):
        return f"{type(problem).__name__}: {problem}"
    return str(problem)
