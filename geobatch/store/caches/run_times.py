"""How long the last applies took: a small file of the store's cache, which nothing relies on."""

from __future__ import annotations

import os
import platform

import msgspec

from geobatch.model.digest import digest_bytes
from geobatch.model.plans.estimate import Estimate, Run, estimate, work_of
from geobatch.model.plans.plan import Plan
from geobatch.store.backends.protocol import Backend
from geobatch.store.caches.value_cache import ValueCache

_FOLDER = "cache/"
_NAME = "runs"
_MOST = 20
"""Runs that are kept, of all computers."""
_DIGITS = 16
_decode = msgspec.json.Decoder(tuple[Run, ...]).decode
_encode = msgspec.json.Encoder().encode


def keep_run(backend: Backend, plan: Plan, *, seconds: float) -> None:
    """Save how long an apply took that did all that its plan says."""
    if work := work_of(plan):
        made = Run(machine=_machine(), work=work, seconds=seconds)
        text = _encode((*_runs(backend), made)[-_MOST:])
        ValueCache(backend, _FOLDER).put(_NAME, text)


def estimate_of(backend: Backend, plan: Plan) -> Estimate | None:
    """Return how long an apply of a plan may take; None if there is no run to go by."""
    work = work_of(plan)
    return estimate(work, _runs(backend), machine=_machine()) if work else None


def _runs(backend: Backend) -> tuple[Run, ...]:
    data = ValueCache(backend, _FOLDER).get(_NAME)
    try:
        return () if data is None else _decode(data)
    except msgspec.DecodeError:
        return ()


def _machine() -> str:
    """Return what tells this computer from others, without its name."""
    name = f"{platform.node()} {platform.machine()} {os.cpu_count()}"
    return digest_bytes(name.encode())[:_DIGITS]
