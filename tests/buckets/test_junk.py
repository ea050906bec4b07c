"""No text in the environment or in an answer is a traceback, or the end of the process."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from unittest.mock import patch

import pytest
from depth import examples
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from service import Answer, Service

from geobatch.buckets.client import forget_clients
from geobatch.buckets.errors import BucketError
from geobatch.buckets.explanations.answer import parse_answer
from geobatch.buckets.objects import head
from geobatch.buckets.redaction import first_line, redact
from geobatch.buckets.url import parse_bucket_url
from geobatch.errors import GeobatchError, SettingError

pytestmark = pytest.mark.usefixtures("environment")
SetEnvironment = Callable[..., None]
ADDRESSES = (
    "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT", "AWS_ENDPOINT_URL_STS",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_EC2_METADATA_SERVICE_ENDPOINT", "GOOGLE_BASE_URL", "STORAGE_EMULATOR_HOST",
    "GCE_METADATA_HOST", "AZURE_STORAGE_ENDPOINT", "AZURE_ENDPOINT", "AZURE_AUTHORITY_HOST",
    "IDENTITY_ENDPOINT", "MSI_ENDPOINT", "AZURE_POD_IDENTITY_AUTHORITY_HOST", "HTTP_PROXY",
    "HTTPS_PROXY", "NO_PROXY",
)  # fmt: skip
WORDS = (
    "AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_ROLE_ARN",
    "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "AWS_PROFILE",
    "GOOGLE_APPLICATION_CREDENTIALS", "GOOGLE_SERVICE_ACCOUNT_KEY", "GOOGLE_BEARER_TOKEN",
    "AZURE_STORAGE_ACCOUNT", "AZURE_STORAGE_KEY", "AZURE_STORAGE_SAS_TOKEN", "AZURE_CLIENT_ID",
    "AZURE_STORAGE_CONNECTION_STRING", "AZURE_CLIENT_SECRET", "AZURE_TENANT_ID", "SSL_CERT_FILE",
    "AZURE_FEDERATED_TOKEN_FILE", "GOOGLE_CLOUD_PROJECT", "AWS_CA_BUNDLE",
    "GEOBATCH_BUCKET_ANONYMOUS", "GEOBATCH_BUCKET_REQUESTER_PAYS", "GEOBATCH_BUCKET_CA_FILE",
    "GEOBATCH_BUCKET_CONNECT_SECONDS", "GEOBATCH_BUCKET_STALL_SECONDS",
)  # fmt: skip
JUNK = (
    "", "foo", "http://", "a\nb", "http://[::1", "\x1b[31m", "http://u:p@127.0.0.1:1",
    "s3.example.com", "https://", "http:// bad", "://x", "/x",
    "http://a b", "ftp://x", "http://127.0.0.1:99999", "http://\u00e9.example", "http://:80",
    "http://127.0.0.1:1/?a=b#c", "%", "{}", "[]", "null",
    "=;", "true", "0", "-1",
)  # fmt: skip
GOOD = {
    "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret",
    "AWS_ENDPOINT_URL": "http://127.0.0.1:1", "AWS_REGION": "eu-x",
    "AWS_EC2_METADATA_SERVICE_ENDPOINT": "http://127.0.0.1:1", "GCE_METADATA_HOST": "127.0.0.1:1",
    "GOOGLE_BASE_URL": "http://127.0.0.1:1", "AZURE_STORAGE_ACCOUNT": "acct",
    "AZURE_STORAGE_ENDPOINT": "http://127.0.0.1:1/acct", "AZURE_STORAGE_SAS_TOKEN": "sig=x",
    "AZURE_POD_IDENTITY_AUTHORITY_HOST": "http://127.0.0.1:1", "GEOBATCH_BUCKET_RETRIES": "0",
    "HOME": "/nonexistent", "PATH": "/usr/bin:/bin",
}  # fmt: skip
ALONE = {
    "AWS_ENDPOINT_URL_STS": {"AWS_ROLE_ARN": "r", "AWS_WEB_IDENTITY_TOKEN_FILE": __file__},
    "AWS_CONTAINER_CREDENTIALS_FULL_URI": {"AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": __file__},
    "AZURE_AUTHORITY_HOST": {
        "AZURE_CLIENT_ID": "c", "AZURE_TENANT_ID": "t", "AZURE_CLIENT_SECRET": "s",
    },
}  # fmt: skip
"""What a variable needs besides, to be read."""
KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AZURE_STORAGE_SAS_TOKEN")


def scheme_of(variable: str) -> str:
    start = variable.partition("_")[0]
    return {"AWS": "s3", "GOOGLE": "gs", "GCE": "gs", "STORAGE": "gs", "AZURE": "az",
            "IDENTITY": "az", "MSI": "az"}.get(start, "s3")  # fmt: skip


def ask(variable: str, text: str, *, has_keys: bool) -> None:
    """Ask a bucket, with one variable changed: only errors of geobatch may come."""
    found = dict(GOOD)
    if not has_keys:
        found = {name: value for name, value in found.items() if name not in KEYS}
        found |= ALONE.get(variable, {})
    found[variable] = text
    url = parse_bucket_url(f"{scheme_of(variable)}://bkt/k")
    with patch.dict(os.environ, found, clear=True):
        forget_clients()
        try:
            head(url)
        except (BucketError, SettingError) as error:
            said = f"{error.message} {error.hint}"
            assert "obstore failed" not in said, "only the net caught it"
            assert "\x1b" not in said
            assert "\n" not in said
        else:
            raise AssertionError("nobody answers")


@pytest.mark.parametrize("variable", ADDRESSES + WORDS)
def test_no_variable_is_a_traceback(variable: str, *, is_long: bool) -> None:
    for text in JUNK if is_long else JUNK[:4]:
        ask(variable, text, has_keys=False)
        if is_long:
            ask(variable, text, has_keys=True)


@settings(
    max_examples=examples(40, 2000), suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    variable=st.sampled_from(ADDRESSES + WORDS),
    text=st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=40),
    has_keys=st.booleans(),
)
def test_no_text_is_a_traceback(variable: str, text: str, has_keys: bool) -> None:
    ask(variable, text, has_keys=has_keys)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text() | st.binary().map(lambda data: data.decode("latin-1")))
@example("status code: 403 x: " + "{" * 10_000)
@example("status code: 403 x: [" + "[" * 100_000)
@example("status code: 403 x: " + '{"error": {"status": []}}')
@example("https://" * 10_000)
@example("sig=" * 10_000)
def test_no_answer_is_a_traceback(text: str) -> None:
    parse_answer(text)
    parse_answer(f"status code: 403 Forbidden: {text}")
    first_line(text)
    assert "\x1b" not in redact(text)


def test_hints_are_safe_to_paste(service: Service, environment: SetEnvironment) -> None:
    """What a service says is quoted in commands."""
    evil = "$(id);id;a@x.iam.gserviceaccount.com does not have storage.objects.get"
    body = f"<Error><Code>AccessDenied</Code><Details>{evil}</Details></Error>".encode()
    service.reply = lambda _: Answer(status=403, body=body)
    environment(GOOGLE_BASE_URL=service.url, GOOGLE_BEARER_TOKEN="t", GEOBATCH_BUCKET_RETRIES="0")
    with pytest.raises(GeobatchError) as caught:
        head(parse_bucket_url("gs://bkt/k"))
    command = str(caught.value.hint).partition(": `")[2].rpartition("`")[0]
    assert command.startswith("gcloud storage buckets")
    done = subprocess.run(
        ["bash", "-c", command.replace("gcloud", "echo", 1)], capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert "--member=serviceAccount:$(id);id;a@x.iam" in done.stdout
    assert "uid=" not in done.stdout
    assert done.stderr == ""


def test_a_bug_of_the_library_is_an_error(environment: SetEnvironment) -> None:
    """In a process of its own: the library prints where it failed."""
    program = (
        "from geobatch.buckets.objects import explained\n"
        "from geobatch.buckets.url import parse_bucket_url\n"
        "import obstore; from obstore.store import S3Store\n"
        "store = S3Store('bkt', config={'endpoint': 'foo', 'skip_signature': True})\n"
        "from geobatch.buckets.errors import BucketError\n"
        "try:\n"
        "    with explained(parse_bucket_url('s3://bkt/k')):\n"
        "        obstore.head(store, 'k')\n"
        "except BucketError as error:\n"
        "    print(error)\n"
    )
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.startswith("obstore failed")
