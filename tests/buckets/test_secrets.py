"""No secret is in what a run prints, logs, saves or stores: neither if it succeeds nor if not."""

from __future__ import annotations

import io
import logging
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from cogs import external, values, write_cog
from service import Answer, Asked, Service
from shell import Done, geobatch

SetEnvironment = Callable[..., None]
SAS = "sv=2024-01-01&se=2036-01-01&sp=rl&sig=hushSIGNATUREhush%3D"
XML = '<?xml version="1.0"?><Error><Code>{}</Code><Message>{}</Message></Error>'
SECRETS = ("hush", "SIGNATURE", "%3D", "sig=")


def run(folder: Path, *argv: str) -> Done:
    """Run a command with all that can be printed, and log what the library says."""
    done = geobatch("--store", folder / "store", "-v", *argv)
    both = geobatch("--store", folder / "store", "--json", *argv)
    return Done(code=done.code, out=done.out + both.out, err=done.err + both.err)


def check(folder: Path, *texts: str) -> None:
    """Find no secret in texts, nor in a file of the folder."""
    for path in folder.rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            assert not [one for one in SECRETS if one.encode() in data], path
    for text in texts:
        assert not [one for one in SECRETS if one in text], text


@pytest.fixture
def spec(tmp_path: Path, service: Service, environment: SetEnvironment) -> Path:
    """A spec of an object in a container that is read by a signature."""
    write_cog(tmp_path / "made.tif", [values((64, 64))])
    data = (tmp_path / "made.tif").read_bytes()
    headers = {"ETag": '"a"', "Last-Modified": "Sat, 01 Jan 2000 00:00:00 GMT"}
    service.reply = lambda _: Answer(body=data, headers=headers)
    environment(
        AZURE_STORAGE_ACCOUNT="acct", AZURE_STORAGE_ENDPOINT=f"{service.url}/acct",
        AZURE_STORAGE_SAS_TOKEN=SAS, GEOBATCH_BUCKET_RETRIES="0",
    )  # fmt: skip
    path = tmp_path / "work" / "a.yaml"
    path.parent.mkdir()
    path.write_text(yaml.safe_dump(external("a", "az://bkt/dir/a.tif")))
    return path


def test_of_runs_that_succeed(spec: Path, service: Service) -> None:
    folder = spec.parent
    log = io.StringIO()
    handler = logging.StreamHandler(log)
    logging.getLogger().addHandler(handler)
    logging.getLogger().setLevel(logging.DEBUG)
    try:
        texts = [log.getvalue()]
        for argv in (
            ("plan", str(spec), "--init", "-o", str(folder / "saved.plan")),
            ("show", str(folder / "saved.plan")), ("apply", str(spec), "--init"), ("info", "a"),
            ("show", "a"), ("log",), ("verify", "a"), ("fsck",), ("doctor",),
            ("export", "a", "--format", "manifest"),
        ):  # fmt: skip
            done = run(folder, *argv)
            assert done.code == 0 or argv[0] == "export", (argv, done.err)
            texts.append(done.out + done.err)
    finally:
        logging.getLogger().removeHandler(handler)
        logging.getLogger().setLevel(logging.WARNING)
    assert any("sig=hush" in one.path for one in service.asked), "the test uses the secret"
    check(folder, *texts, log.getvalue())


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (403, "AuthorizationPermissionMismatch"), (403, "AuthenticationFailed"),
        (404, "BlobNotFound"), (404, "ContainerNotFound"), (409, "BlobArchived"),
        (400, "InvalidQueryParameterValue"), (500, "InternalError"), (302, "Moved"), (206, "x"),
    ],
)  # fmt: skip
def test_of_runs_that_fail(status: int, code: str, spec: Path, service: Service) -> None:
    def reply(asked: Asked) -> Answer:
        # A service may repeat the request in its answer, and send it elsewhere.
        body = XML.format(code, f"request {asked.path} with {SAS} was refused")
        return Answer(status=status, body=body.encode(), headers={"Location": asked.path})

    service.reply = reply
    texts = []
    for argv in (("plan", str(spec), "--init"), ("apply", str(spec), "--init")):
        done = run(spec.parent, *argv)
        assert done.code == 7, done.err
        assert "Traceback" not in done.err
        texts.append(done.out + done.err)
    check(spec.parent, *texts)


@pytest.mark.parametrize("scheme", ["s3", "gs", "az"])
def test_of_stores_that_fail(
    scheme: str, tmp_path: Path, service: Service, environment: SetEnvironment
) -> None:
    environment(
        AWS_ENDPOINT_URL="http://127.0.0.1:1", AWS_ACCESS_KEY_ID="AKIAhushhushhush1234",
        AWS_SECRET_ACCESS_KEY="hush-secret", AWS_SESSION_TOKEN="hush-token",
        GOOGLE_BASE_URL="http://user:hush@127.0.0.1:1", GOOGLE_BEARER_TOKEN="hush-bearer",
        GEOBATCH_BUCKET_ANONYMOUS="gs://bkt", GEOBATCH_BUCKET_RETRIES="0",
        AZURE_STORAGE_ACCOUNT="acct", AZURE_STORAGE_ENDPOINT="http://127.0.0.1:1/acct",
        AZURE_STORAGE_SAS_TOKEN=SAS, HTTP_PROXY="http://user:hush-proxy@127.0.0.1:1",
    )  # fmt: skip
    for argv in (("log",), ("init",), ("doctor",), ("-v", "fsck"), ("--json", "ls")):
        done = geobatch("--store", f"{scheme}://bkt/p", *argv)
        assert done.code == 1, (argv, done.err)
        assert "Traceback" not in done.err
        check(tmp_path, done.out + done.err)
