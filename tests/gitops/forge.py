"""A server on this machine that speaks the few calls of GitHub and GitLab that pipelines make."""

from __future__ import annotations

import contextlib
import http.server
import json
import re
import shutil
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

TOKEN = "secret-token-4711"
OWN, FORK = 1, 2
"""Ids of the repository and of a fork."""


BOT = {"id": 7, "login": "pipeline", "type": "Bot"}
"""Who owns the token, as both sites say it."""


@dataclass(kw_only=True)
class Forge:
    """A hosting site: artifacts, merge requests and comments of one project."""

    folder: Path
    """Artifacts are in `<run>/<name>` below it."""
    url: str = ""
    """Address of the API."""
    token: str = TOKEN
    """The only one that may ask."""
    repository: str = "isle/maps"
    """Owner and name."""
    artifacts: list[dict[str, Any]] = field(default_factory=list)
    """As the API lists them, oldest first."""
    merged: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    """Merge requests by commit."""
    comments: list[dict[str, Any]] = field(default_factory=list)
    """Comments of the one pull request."""

    def keep(self, name: str, files: Path, *, head: str, owner: int = OWN) -> None:
        """Keep an artifact of a run of its own."""
        run = 100 + len(self.artifacts)
        shutil.copytree(files, self.folder / str(run) / name)
        origin = {"id": run, "repository_id": OWN, "head_repository_id": owner, "head_sha": head}
        artifact = {"id": run * 10, "name": name, "expired": False, "workflow_run": origin}
        self.artifacts.append(artifact)

    def kept(self, name: str, *, run: int) -> Path:
        """Return the folder of an artifact."""
        return self.folder / str(run) / name

    def answer(self, method: str, target: str, body: Any) -> tuple[int, Any]:
        """Return status and content of an answer."""
        path, query = urlsplit(target).path, parse_qs(urlsplit(target).query)
        if path == "/user":
            return 200, BOT
        if path == f"/repos/{self.repository}/actions/artifacts":
            wanted = [one for one in self.artifacts[::-1] if one["name"] == query["name"][0]]
            return 200, {"total_count": len(wanted), "artifacts": wanted}
        if match := re.fullmatch(r"/projects/1/repository/commits/(\w+)/merge_requests", path):
            return 200, self.merged.get(match[1], [])
        if match := re.fullmatch(r"/projects/1/jobs/artifacts/([^/]+)/raw/plan/(.+)", path):
            assert query["job"] == ["geobatch-plan"]
            return self._raw(unquote(match[1]), match[2])
        return self._comment(method, path, query, body)

    def _raw(self, reference: str, name: str) -> tuple[int, Any]:
        found = [one["workflow_run"]["id"] for one in self.artifacts if one["name"] == reference]
        if not found:
            return 404, {}
        return 200, (self.kept(reference, run=found[-1]) / name).read_bytes()

    def _comment(
        self, method: str, path: str, query: dict[str, list[str]], body: Any
    ) -> tuple[int, Any]:
        if match := re.fullmatch(r".*/(?:comments|notes)/(\d+)", path):
            comment = self.comments[int(match[1]) - 1]
            comment.update(body)
            return 200, comment
        if not re.fullmatch(r".*/(?:issues/12/comments|merge_requests/12/notes)", path):
            return 404, {}
        if method == "GET":
            return 200, self.comments if query.get("page", ["1"]) == ["1"] else []
        number = len(self.comments) + 1
        self.comments.append({"id": number, "body": body["body"], "user": BOT, "author": BOT})
        return 201, self.comments[-1]


@contextlib.contextmanager
def hosting(folder: Path) -> Iterator[Forge]:
    """Serve an empty project, on threads, as long as the context lasts."""
    forge = Forge(folder=folder)

    class Handler(http.server.BaseHTTPRequestHandler):
        timeout = 20

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Be quiet."""

        def do_GET(self) -> None:
            given = {self.headers.get(name) for name in ("Authorization", "PRIVATE-TOKEN")}
            size = int(self.headers.get("Content-Length", 0))
            body = json.loads(self.rfile.read(size)) if size else None
            status = 401
            content: Any = b"{}"
            if given & {f"Bearer {forge.token}", forge.token}:
                status, content = forge.answer(self.command, self.path, body)
            data = content if isinstance(content, bytes) else json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_POST = do_PATCH = do_PUT = do_GET  # noqa: N815 - the names of http.server

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    forge.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield forge
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
