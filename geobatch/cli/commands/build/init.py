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
    """Create an empty store; `apply` also does this when it is needed."""
    from geobatch.store.tilestore import TileStore

    settings: Settings = context.obj
    chosen = read_views_option(views, is_bucket=settings.store.folder is None)
    is_new = not settings.store.has_store()
    store = TileStore.create(settings.store, views=chosen)
    store.close()
    settings.output.line(f"{'made' if is_new else 'kept'} {settings.store}  id {store.id}")
    settings.output.record("store", path=str(settings.store), id=store.id, is_new=is_new)
    return Exit.OK
