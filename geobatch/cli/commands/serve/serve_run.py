"""What `serve` does: it opens the store, says where it listens, and answers."""

from __future__ import annotations

import logging
import socket
from collections.abc import Sequence
from pathlib import Path

from geobatch.cli.commands.serve.plans import saved_plans
from geobatch.cli.output import Output
from geobatch.cli.settings import Settings
from geobatch.serve.app import make_app
from geobatch.serve.commits import Served
from geobatch.serve.guard import LOCAL
from geobatch.serve.listen import is_local, listen, open_socket, url_of


class _Notes(logging.Handler):
    """Prints what the server logs, as the command prints its notes."""

    def __init__(self, output: Output) -> None:
        super().__init__()
        self._output = output

    def emit(self, record: logging.LogRecord) -> None:
        """Print a line."""
        self._output.note(f"{record.levelname.lower()}: {record.getMessage()}")


def run_serve(
    settings: Settings,
    *,
    host: str,
    port: int,
    hosts: Sequence[str],
    origins: Sequence[str],
    plans: Sequence[Path],
) -> None:
    """Serve a store until the process is interrupted.

    Raises:
        SettingError: The address cannot be listened on.
        PlanError: A plan cannot be read.
        NoStoreError: There is no store.
    """
    served = Served.open(settings.store)
    saved = saved_plans(plans, served.store.id)
    state = served.commits.find()
    count = state.head.tree.count
    found = open_socket(host, port)
    url, output = url_of(found), settings.output
    names = {*LOCAL, host.strip("[]").lower(), *(name.lower() for name in hosts)}
    if not is_local(found):
        names |= {socket.gethostname().lower(), socket.getfqdn().lower()}
    app = make_app(served, hosts=names, origins=origins, plans=saved)
    handler = _Notes(output)
    logger = logging.getLogger("geobatch.serve")
    logger.addHandler(handler)
    try:
        output.line(f"geobatch serve {settings.store}  commit {state.head.number}  {url}")
        output.record("serve", url=url, commit=state.name, assets=count)
        if not is_local(found):
            output.note(
                f"warning: everyone who reaches {host} can read all {count:,} assets of "
                "this store at every commit, with the paths of their sources and the messages of "
                "commits; nothing asks for a password"
            )
        output.note("Ctrl-C ends the server.")
        output.flush()
        listen(app, found)
    finally:
        logger.removeHandler(handler)
