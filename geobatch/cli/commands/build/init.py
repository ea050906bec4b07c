"""The command `init`."""

from __future__ import annotations

import typer

from geobatch.cli.command import Command, group
from geobatch.cli.exits import Exit
from geobatch.cli.options import Views, read_views_option
from geobatch.cli.settings import EPILOG, Settings

app = group()


@app.command(cls=Command, epilog=EPILOG)
def init(context: typer.Context, *, views: Views = None) -> Exit:
    """Create an empty store, or give one a STAC catalog; `apply` creates one when it is needed."""
    from geobatch.store.tilestore import TileStore
    from geobatch.views.stac.switch import switch_catalog

    settings: Settings = context.obj
    chosen, has_catalog = read_views_option(views, is_bucket=settings.store.folder is None)
    is_new = not settings.store.has_store()
    store = TileStore.create(settings.store, views=chosen)
    change = ""
    if has_catalog is not None:
        change = switch_catalog(store, settings.store, is_on=has_catalog)
    store.close()
    settings.output.line(f"{'made' if is_new else 'kept'} {settings.store}  id {store.id}")
    if change:
        settings.output.line(change)
    settings.output.record("store", path=str(settings.store), id=store.id, is_new=is_new)
    return Exit.OK
