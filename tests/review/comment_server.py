"""A server on a real socket that speaks the few calls of GitHub's and GitLab's API."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

TOKEN = "secret-token-1234"


class Site:
    """Comments of one pull request, and what the server is to do wrong."""

    def __init__(self, kind: str, *, user: str = "me", is_workflow: bool = False) -> None:
        self.kind = kind
        self.user = user
        self.is_workflow = is_workflow
        """Whether the token is one of a workflow, which may not ask who it is."""
        self.comments: list[dict[str, Any]] = []
        self.next = 1
        self.lock = threading.RLock()
        self.failures: list[Any] = []
        """Statuses of the next answers; `drop` ends the connection after the effect."""
        self.requests: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.on_create: Callable[[], None] | None = None
        """Called once, before a comment is created."""
        self.url = ""

    def add(self, body: str, *, user: str | None = None, kind: str = "") -> dict[str, Any]:
        with self.lock:
            name = self.user if user is None else user
            bot = kind or ("Bot" if self.is_workflow and user is None else "User")
            comment = {"id": self.next, "body": body, "html_url": f"https://site.test/{self.next}",
                       "user": {"login": name, "type": bot},
                       "author": {"id": name, "username": name}, "system": False}  # fmt: skip
            self.next += 1
            self.comments.append(comment)
            return comment

    def bodies(self) -> list[str]:
        return [one["body"] for one in self.comments]


class Handler(BaseHTTPRequestHandler):
    site: Site
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None: ...

    def answer(self, status: int, document: Any = None, **headers: str) -> None:
        data = b"" if document is None else json.dumps(document).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def handle_any(self) -> None:
        site = self.site
        length = int(self.headers.get("Content-Length") or 0)
        sent = json.loads(self.rfile.read(length)) if length else {}
        parts = urlsplit(self.path)
        site.requests.append(f"{self.command} {parts.path}")
        site.headers.append(dict(self.headers.items()))
        failure = site.failures.pop(0) if site.failures else None
        if isinstance(failure, int):
            after = {"Retry_After": "0"} if failure != 302 else {"Location": "http://127.0.0.1:1/x"}
            return self.answer(failure, {"message": "as asked"}, **after)
        given = self.headers.get("Authorization") or self.headers.get("PRIVATE-TOKEN") or ""
        if not given.endswith(TOKEN):
            return self.answer(401, {"message": "Bad credentials"})
        status, document, headers = self.act(parts.path, parse_qs(parts.query), sent)
        if failure == "drop":
            self.close_connection = True
            return None
        return self.answer(status, document, **headers)

    def __getattr__(self, name: str) -> Any:
        """Answer every method: `http.server` asks for `do_GET` and the like."""
        if name.startswith("do_"):
            return self.handle_any
        raise AttributeError(name)

    def act(self, path: str, query: Any, sent: Any) -> tuple[int, Any, dict[str, str]]:
        site = self.site
        if path == "/user":
            if site.is_workflow:
                return 403, {"message": "Resource not accessible by integration"}, {}
            return 200, {"id": site.user, "login": site.user}, {}
        is_github = site.kind == "github"
        whole = (
            "/repos/a/b/issues/7/comments" if is_github else "/projects/12/merge_requests/7/notes"
        )
        single = "/repos/a/b/issues/comments/" if is_github else f"{whole}/"
        if path == whole and self.command == "GET":
            return self.page(query)
        if path == whole and self.command == "POST":
            if site.on_create is not None:
                before, site.on_create = site.on_create, None
                before()
            return 201, site.add(sent["body"]), {}
        return self.act_on_one(single, path, sent)

    def act_on_one(self, single: str, path: str, sent: Any) -> tuple[int, Any, dict[str, str]]:
        site = self.site
        match = re.fullmatch(f"{re.escape(single)}(\\d+)", path)
        with site.lock:
            found = [one for one in site.comments if match and one["id"] == int(match[1])]
            if not found:
                return 404, {"message": "Not Found"}, {}
            if found[0]["user"]["login"] != site.user:
                return 403, {"message": "Must have admin rights"}, {}
            if self.command == "DELETE":
                site.comments.remove(found[0])
                return 204, None, {}
            if self.command != ("PATCH" if site.kind == "github" else "PUT"):
                return 405, None, {}
            found[0]["body"] = sent["body"]
            return 200, found[0], {}

    def page(self, query: Any) -> tuple[int, Any, dict[str, str]]:
        size, page = int(query["per_page"][0]), int(query["page"][0])
        shown = self.site.comments[(page - 1) * size : page * size]
        has_next = len(self.site.comments) > page * size
        if self.site.kind == "gitlab":
            # Notes that the user may not see are missing from a page.
            visible = [one for one in shown if not one.get("hidden")]
            return 200, visible, {"X_Next_Page": str(page + 1) if has_next else ""}
        return 200, shown, {"Link": '<x>; rel="next"'} if has_next else {}


@contextmanager
def serving(site: Site) -> Iterator[Site]:
    """Serve a site until the block ends."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (Handler,), {"site": site}))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    site.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield site
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
