"""geobatch: Terraform for raster assets.

`plan` says what would change in a store, `rehearse` computes it for a review, `apply` changes it,
`verify` computes it again, `export` writes an asset for other tools, and `open_store` reads what is
published. Nothing is loaded before it is used.
"""

TYPE_CHECKING = False  # as in `typing`, which takes longer to load than this module
if TYPE_CHECKING:
    from geobatch.errors import (
        CheckError,
        ConflictError,
        CorruptObjectError,
        ExecutionError,
        ExportError,
        FormatError,
        GeobatchError,
        InternalError,
        InterruptedRunError,
        LockedError,
        NoStoreError,
        NotDurableError,
        NotFoundError,
        PlanError,
        PostError,
        ProtectedError,
        SettingError,
        SourceError,
        SpecError,
        StalePlanError,
        StoreError,
    )
    from geobatch.exports.export import export
    from geobatch.model.plans.plan import Options, Plan
    from geobatch.reading.store import Store, open_store
    from geobatch.workflow.apply import apply
    from geobatch.workflow.maintenance.verify import verify
    from geobatch.workflow.plan import plan
    from geobatch.workflow.rehearsal.rehearse import rehearse

    __version__: str

__all__ = [
    "CheckError",
    "ConflictError",
    "CorruptObjectError",
    "ExecutionError",
    "ExportError",
    "FormatError",
    "GeobatchError",
    "InternalError",
    "InterruptedRunError",
    "LockedError",
    "NoStoreError",
    "NotDurableError",
    "NotFoundError",
    "Options",
    "Plan",
    "PlanError",
    "PostError",
    "ProtectedError",
    "SettingError",
    "SourceError",
    "SpecError",
    "StalePlanError",
    "Store",
    "StoreError",
    "__version__",
    "apply",
    "export",
    "open_store",
    "plan",
    "rehearse",
    "verify",
]

_MODULES = {
    "Options": "model.plans.plan",
    "Plan": "model.plans.plan",
    "Store": "reading.store",
    "apply": "workflow.apply",
    "export": "exports.export",
    "open_store": "reading.store",
    "plan": "workflow.plan",
    "rehearse": "workflow.rehearsal.rehearse",
    "verify": "workflow.maintenance.verify",
}
"""Where the names are that are no errors."""


def __getattr__(name: str) -> object:
    """Load what is used for the first time."""
    if name not in __all__:
        raise AttributeError(f"module `geobatch` has no attribute `{name}`")
    from importlib import import_module  # noqa: PLC0415 - nothing is loaded before it is used

    if name == "__version__":
        value = import_module("geobatch.versions").VERSION
    else:
        value = getattr(import_module(f"geobatch.{_MODULES.get(name, 'errors')}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Return the public names, loaded or not."""
    return sorted({*globals(), *__all__})
