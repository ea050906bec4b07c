"""The earthengine-api client itself, with nobody at the other end of its wire."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unittest.mock import patch

import ee
import httplib2
from google.auth.credentials import AnonymousCredentials

# The client would switch TensorFlow back to its first version, for this whole process.
with patch.dict(sys.modules, {"tensorflow": None}):
    from ee.cli import commands

DISCOVERY = Path(ee.__file__).parent / "tests" / "cloud_api_discovery_document.json"


class Wire:
    """Stands for the network: answers what the client must know, and keeps what it sends."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []

    def request(
        self, uri: str, method: str = "GET", body: Any = None, **_: Any
    ) -> tuple[httplib2.Response, bytes]:
        if "$discovery" in uri:
            return httplib2.Response({"status": 200}), DISCOVERY.read_bytes()
        assert (method, "image:import" in uri) == ("POST", True), f"{method} {uri}"
        self.sent.append(json.loads(body))
        answer = {"name": "projects/p/operations/ABC"}
        headers = {"status": 200, "content-type": "application/json"}
        return httplib2.Response(headers), json.dumps(answer).encode()


class RefusedError(Exception):
    """The client said no."""


class Client:
    """`earthengine upload image` in this process."""

    def __init__(self) -> None:
        self.wire = Wire()
        ee.data.initialize(
            credentials=AnonymousCredentials(),  # type: ignore[no-untyped-call]
            project="some-project",
            http_transport=self.wire,
        )

    def upload_image(self, *argv: str) -> dict[str, Any]:
        """Return the manifest that a command line sends.

        Raises:
            RefusedError: The client refuses the command line.
        """
        parser = argparse.ArgumentParser(exit_on_error=False)
        command = commands.UploadImageCommand(parser)
        self.wire.sent.clear()
        try:
            config: Any = _Config()
            command.run(_parse(parser, argv), config)
        except (argparse.ArgumentError, ValueError, ee.EEException) as error:
            raise RefusedError(str(error)) from error
        (request,) = self.wire.sent
        manifest: dict[str, Any] = request["imageManifest"]
        return manifest

    def close(self) -> None:
        """Forget the wire."""
        ee.Reset()


class _Config:
    def ee_init(self) -> None:
        """Do nothing: the client is initialised."""


def _parse(parser: argparse.ArgumentParser, argv: Sequence[str]) -> argparse.Namespace:
    try:
        return parser.parse_args(list(argv))
    except SystemExit as error:  # what `exit_on_error` does not cover
        raise RefusedError(f"usage: {argv}") from error
