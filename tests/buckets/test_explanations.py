"""What services and networks answer becomes an error that says who, what, and what helps."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from service import Answer, Asked, Certificate, Service, serving

from geobatch.buckets.client import client
from geobatch.buckets.errors import BucketError, Failure
from geobatch.buckets.objects import fetch, head, list_objects
from geobatch.buckets.redaction import first_line, redact
from geobatch.buckets.url import BucketUrl, parse_bucket_url
from geobatch.buckets.writes import create, delete
from geobatch.model.sources.pin import Remote

pytestmark = pytest.mark.usefixtures("environment")
SetEnvironment = Callable[..., None]
KEY_ID, SECRET, TOKEN = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI-SECRET", "session-SECRET"
SAS = "sv=2024&sp=rl&sig=SIGNATURE-SECRET%3D"
AZ_KEY = "a2V5LW9mLXRoZS1hY2NvdQ=="
STATE = Remote(size=100, etag='"a"')
ARN = "arn:aws:sts::123456789012:assumed-role/Analyst/ann"
MAIL = "reader@p.iam.gserviceaccount.com"


def do(operation: str, url: BucketUrl) -> None:
    """Ask a bucket for something."""
    if operation == "head":
        head(url)
    elif operation == "read":
        fetch(url, [(0, 5)], STATE)
    elif operation == "list":
        list(list_objects(url))
    elif operation == "write":
        create(url, b"x")
    else:
        delete([url])


def xml(code: str, message: str, **more: str) -> bytes:
    rest = "".join(f"<{name}>{text}</{name}>" for name, text in more.items())
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code>'
        f"<Message>{message}</Message>{rest}<RequestId>4442587FB7D0A2F9</RequestId></Error>"
    ).encode()


def accounts(environment: SetEnvironment, service: Service) -> None:
    """Give an account at each cloud, all at the service."""
    environment(
        AWS_ACCESS_KEY_ID=KEY_ID, AWS_SECRET_ACCESS_KEY=SECRET, AWS_SESSION_TOKEN=TOKEN,
        AWS_ENDPOINT_URL=service.url, AWS_REGION="us-east-1",
        GOOGLE_SERVICE_ACCOUNT_KEY=json.dumps({
            "gcs_base_url": service.url, "disable_oauth": True, "client_email": MAIL,
            "private_key": "", "private_key_id": "",
        }),
        AZURE_STORAGE_ACCOUNT="acct", AZURE_STORAGE_ENDPOINT=f"{service.url}/acct",
        AZURE_STORAGE_SAS_TOKEN=SAS, GEOBATCH_BUCKET_RETRIES="1",
    )  # fmt: skip


def failing(
    url: str, operation: str, answer: Answer, service: Service, environment: SetEnvironment
) -> BucketError:
    """Return the error of an operation that a service answers so."""
    service.reply = lambda _: answer
    accounts(environment, service)
    with pytest.raises(BucketError) as caught:
        do(operation, parse_bucket_url(url))
    error = caught.value
    text = f"{error.message} {error.hint} {error!r} {error.__cause__}"
    for secret in (SECRET, TOKEN, "SIGNATURE-SECRET", KEY_ID, "Debug source"):
        assert secret not in text
    assert error.__suppress_context__, "a traceback would show the text of the library"
    return error


ENHANCED = (
    f"User: {ARN} is not authorized to perform: s3:GetObject on resource: "
    "&quot;arn:aws:s3:::bkt/dir/k&quot; because no identity-based policy allows the s3:GetObject"
    " action"
)
DENY = ENHANCED.replace("because no identity-based policy allows", "with an explicit deny in")
KMS = ENHANCED.replace("s3:GetObject on", "kms:Decrypt on")


class Case(NamedTuple):
    """An answer of a service, and what geobatch says of it."""

    scheme: str
    operation: str
    status: int
    body: bytes
    failure: Failure
    message: str
    """Part of the message."""
    hint: str
    """Part of the hint."""


CASES = [
    Case("s3", "read", 403, xml("AccessDenied", ENHANCED), Failure.DENIED,
     f"`{ARN}` may not read it: the permission `s3:GetObject` is missing",
     "aws iam put-role-policy --role-name Analyst --policy-name geobatch-GetObject"),
    Case("s3", "read", 403, xml("AccessDenied", DENY), Failure.DENIED,
     "may not read it: a policy denies `s3:GetObject`", "get-bucket-policy --bucket bkt"),
    Case("s3", "read", 403, xml("AccessDenied", KMS), Failure.DENIED,
     "the permission `kms:Decrypt` is missing", "aws sts get-caller-identity"),
    Case("s3", "read", 403, xml("AccessDenied", "Access Denied"), Failure.DENIED,
     "access key `...MPLE` (the environment) may not read it: the permission `s3:GetObject`",
     "GEOBATCH_BUCKET_REQUESTER_PAYS=s3://bkt"),
    Case("s3", "head", 403, xml("AccessDenied", ENHANCED), Failure.DENIED, f"`{ARN}` may not read",
     "put-role-policy"),
    Case("s3", "list", 403, xml("AccessDenied", "Access Denied"), Failure.DENIED,
     "may not list it: the permission `s3:ListBucket` is missing", "docs/cloud.md"),
    Case("s3", "write", 403, xml("AccessDenied", "Access Denied"), Failure.DENIED,
     "may not write it: the permission `s3:PutObject` is missing", "aws sts get-caller-identity"),
    Case("s3", "delete", 403, xml("AccessDenied", "Access Denied"), Failure.DENIED,
     "may not delete it: the permission `s3:DeleteObject` is missing", "get-caller-identity"),
    Case("s3", "read", 400, xml("ExpiredToken", "The provided token has expired.",
     **{"Token-0": TOKEN}), Failure.DENIED, "has expired or is not valid", "aws sso login"),
    Case("s3", "read", 403, xml("InvalidAccessKeyId", "The AWS Access Key Id you provided does not"
     " exist in our records.", AWSAccessKeyId=KEY_ID), Failure.DENIED,
     "does not know access key `...MPLE`", "aws configure list"),
    Case("s3", "read", 403, xml("SignatureDoesNotMatch",
     "The request signature we calculated does not"
     " match", AWSAccessKeyId=KEY_ID, StringToSign="AWS4-HMAC-SHA256", SignatureProvided="abcdef"),
     Failure.DENIED, "the secret of access key `...MPLE` (the environment) is wrong",
     "aws configure"),
    Case("s3", "read", 403, xml("RequestTimeTooSkewed",
     "The difference between the request time and"
     " the current time is too large."), Failure.DENIED, "this computer's clock differs",
     "timedatectl"),
    Case("s3", "read", 403, xml("InvalidObjectState", "The operation is not valid for the object's"
     " storage class", StorageClass="DEEP_ARCHIVE", AccessTier="x"), Failure.ARCHIVED,
     "archived (storage class `DEEP_ARCHIVE`)",
     "restore-object --bucket bkt --key dir/k --restore-request Days=7"),
    Case("s3", "read", 404, xml("NoSuchKey", "The specified key does not exist."), Failure.MISSING,
     "no such object", ""),
    Case("s3", "head", 404, xml("NoSuchKey", "The specified key does not exist."), Failure.MISSING,
     "no such object", ""),
    Case("s3", "head", 404, xml("NoSuchBucket", "The specified bucket does not exist"),
     Failure.NO_BUCKET, "there is no bucket `bkt`", "aws s3 mb s3://bkt"),
    Case("s3", "list", 404, xml("NoSuchBucket", "The specified bucket does not exist"),
     Failure.NO_BUCKET, "there is no bucket `bkt`", "aws s3 ls"),
    Case("s3", "list", 404, b"", Failure.NO_BUCKET, "there is no bucket `bkt`", "aws s3 ls"),
    Case("gs", "list", 404, b"Not Found", Failure.NO_BUCKET, "there is no bucket `bkt`", "create"),
    Case("s3", "read", 400, xml("AuthorizationHeaderMalformed", "The authorization header is"
     " malformed; the region 'us-east-1' is wrong; expecting 'eu-west-1'", Region="eu-west-1"),
     Failure.OTHER, "is in region `eu-west-1`, expected `us-east-1`",
     "export AWS_REGION=eu-west-1"),
    Case("s3", "head", 400, xml("AuthorizationHeaderMalformed", "expecting 'eu-west-1'"),
     Failure.OTHER, "is in region `eu-west-1`", "AWS_REGION=eu-west-1"),
    Case("s3", "read", 503, xml("SlowDown", "Please reduce your request rate."), Failure.OTHER,
     "too busy (status code: 503, `SlowDown`)", "GEOBATCH_BUCKET_RETRIES"),
    Case("s3", "read", 412, xml("PreconditionFailed", "At least one did not hold"), Failure.CHANGED,
     "changed", ""),
    Case("s3", "read", 418, b"<html>teapot " + b"x" * 100_000, Failure.OTHER, "status code: 418",
     ""),
    Case("gs", "read", 403, xml("AccessDenied", "Access denied.",
     Details=f"{MAIL} does not have storage.objects.get access to the Google Cloud Storage object."
     " Permission &#39;storage.objects.get&#39; denied on resource (or it may not exist)."),
     Failure.DENIED, f"`{MAIL}` may not read it: the permission `storage.objects.get` is missing",
     f"add-iam-policy-binding gs://bkt --member=serviceAccount:{MAIL} --role=roles/storage.obj"),
    Case("gs", "list", 403, xml("AccessDenied", "Access denied.",
     Details="ann@example.org does not have storage.objects.list access to the Google Cloud"
     " Storage bucket."), Failure.DENIED, "the permission `storage.objects.list` is missing",
     "--member=user:ann@example.org --role=roles/storage.objectViewer"),
    Case("gs", "read", 403, xml("AccessDenied", "Access denied.",
     Details=f"{MAIL} does not have storage.buckets.get access"), Failure.DENIED,
     "`storage.buckets.get` is missing", "roles/storage.legacyBucketReader"),
    Case("gs", "write", 403, xml("AccessDenied", "Access denied."), Failure.DENIED,
     f"`{MAIL}` may not write it: the permission `storage.objects.create` is missing",
     "roles/storage.objectUser"),
    Case("gs", "delete", 403, xml("AccessDenied", "Access denied."), Failure.DENIED,
     "`storage.objects.delete` is missing", "roles/storage.objectUser"),
    Case("gs", "read", 401, xml("AuthenticationRequired", "Authentication required."),
     Failure.DENIED,
     "the login of", "gcloud auth application-default login"),
    Case("gs", "read", 400, xml("UserProjectMissing",
     "Bucket is a requester pays bucket but no user"
     " project provided."), Failure.DENIED, "the bucket's requesters pay",
     "GEOBATCH_BUCKET_REQUESTER_PAYS=gs://bkt"),
    Case("gs", "read", 403, xml("UserProjectAccountProblem", "The project is not billed"),
     Failure.DENIED, "billing of the project is not active", "gcloud billing"),
    Case("gs", "head", 404, xml("NoSuchBucket", "The specified bucket does not exist."),
     Failure.NO_BUCKET, "there is no bucket `bkt`", "gcloud storage buckets create gs://bkt"),
    Case("gs", "head", 404, xml("NoSuchKey", "The specified key does not exist."), Failure.MISSING,
     "no such object", ""),
    Case("gs", "read", 429, xml("SlowDown", "The object exceeded the rate limit"), Failure.OTHER,
     "too busy (status code: 429", "try again later"),
    Case("az", "read", 403, xml("AuthorizationPermissionMismatch",
     "This request is not authorized to"
     " perform this operation using this permission."), Failure.DENIED,
     "a shared access signature (the environment) does not allow to read it: `r` is missing",
     "az storage container generate-sas --account-name acct --name bkt --permissions rl "),
    Case("az", "write", 403, xml("AuthorizationPermissionMismatch", "not authorized"),
     Failure.DENIED,
     "`cw` is missing", "--permissions rlcw"),
    Case("az", "read", 403, xml("AuthenticationFailed",
     "Server failed to authenticate the request.",
     AuthenticationErrorDetail=f"Signature did not match. String to sign used was {SAS}"),
     Failure.DENIED, "is not valid for account `acct`, or has expired", "az login"),
    Case("az", "read", 403, xml("AuthorizationFailure", "not authorized to perform this operation"),
     Failure.DENIED, "its network rules", "--query networkRuleSet"),
    Case("az", "read", 409, xml("PublicAccessNotPermitted", "Public access is not permitted on this"
     " storage account."), Failure.DENIED, "allows nothing without credentials", "az login"),
    Case("az", "read", 403, xml("KeyBasedAuthenticationNotPermitted",
     "Key based authentication is not"
     " permitted on this storage account."), Failure.DENIED, "allows no keys", "az login"),
    Case("az", "read", 409, xml("BlobArchived",
     "This operation is not permitted on an archived blob."),
     Failure.ARCHIVED, "archived (access tier `Archive`)", "az storage blob set-tier"),
    Case("az", "head", 404, xml("ContainerNotFound", "The specified container does not exist."),
     Failure.NO_BUCKET, "there is no container `bkt` in account `acct`", "az storage container"),
    Case("az", "head", 404, xml("BlobNotFound", "The specified blob does not exist."),
     Failure.MISSING,
     "no such object", ""),
    Case("az", "read", 503, xml("ServerBusy", "The server is currently unable"), Failure.OTHER,
     "too busy", "try again"),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.scheme}-{case.operation}")
def test_answers_of_services(case: Case, service: Service, environment: SetEnvironment) -> None:
    headers = {"Content-Type": "application/xml"}
    answer = Answer(status=case.status, body=case.body, headers=headers)
    url = f"{case.scheme}://bkt/dir/{'k' if case.operation != 'list' else ''}"
    error = failing(url, case.operation, answer, service, environment)
    assert error.failure is case.failure, error
    assert case.message in error.message
    assert case.hint in (error.hint or "")
    assert len(error.message) < 700
    assert error.status == case.status


def test_only_the_first_missing_object_is_asked_for_twice(
    service: Service, environment: SetEnvironment
) -> None:
    """A HEAD does not say whether the bucket is missing; stores ask for many absent names."""
    absent = Answer(status=404, body=xml("NoSuchKey", "The specified key does not exist."))
    service.reply = lambda _: absent
    accounts(environment, service)
    for scheme in ("s3", "gs", "az"):
        for count in (2, 1, 1):
            service.asked.clear()
            with pytest.raises(BucketError, match="no such object"):
                head(parse_bucket_url(f"{scheme}://bkt/k"))
            assert len(service.asked) == count


def test_a_region_that_only_a_header_names(service: Service, environment: SetEnvironment) -> None:
    """S3 redirects without a location; the answer to an unsigned request names the region."""
    answer = Answer(status=301, body=b"", headers={"x-amz-bucket-region": "ap-south-1"})
    for operation in ("head", "read", "write"):
        error = failing("s3://bkt/k", operation, answer, service, environment)
        assert "is in region `ap-south-1`, expected `us-east-1`" in error.message
        assert error.hint == "`export AWS_REGION=ap-south-1`"
        assert error.is_final
    unsigned = service.asked[-1]
    assert (unsigned.path, unsigned.authorization) == ("/bkt", "")


@pytest.mark.parametrize(("scheme", "status"), [("s3", 403), ("gs", 401), ("az", 409), ("az", 404)])
def test_anonymous_requests_to_what_is_not_public(
    scheme: str, status: int, service: Service, environment: SetEnvironment
) -> None:
    environment(GEOBATCH_BUCKET_ANONYMOUS="true")
    body = {
        ("gs", 401): xml("AuthenticationRequired", "x", Details="Anonymous caller does not have"
                         " storage.objects.get access to the Google Cloud Storage object."),
        ("az", 409): xml("PublicAccessNotPermitted", "x"),
        ("az", 404): xml("ResourceNotFound", "The specified resource does not exist."),
    }.get((scheme, status), xml("AccessDenied", "Access Denied"))  # fmt: skip
    answer = Answer(status=status, body=body)
    service.reply = lambda _: answer
    environment(
        AWS_ENDPOINT_URL=service.url, GOOGLE_BASE_URL=service.url, AZURE_STORAGE_ACCOUNT="acct",
        AZURE_STORAGE_ENDPOINT=f"{service.url}/acct",
    )  # fmt: skip
    with pytest.raises(BucketError) as caught:
        fetch(parse_bucket_url(f"{scheme}://bkt/k"), [(0, 5)], STATE)
    assert caught.value.failure in (Failure.DENIED, Failure.MISSING)
    assert "without credentials" in caught.value.message
    assert "GEOBATCH_BUCKET_ANONYMOUS" in str(caught.value.hint)


# Before a service answers


def reaching(url: str, environment: SetEnvironment, **more: str) -> BucketError:
    environment(
        AWS_ACCESS_KEY_ID=KEY_ID, AWS_SECRET_ACCESS_KEY=SECRET, AWS_ENDPOINT_URL=url,
        GEOBATCH_BUCKET_RETRIES="0", **more,
    )  # fmt: skip
    with pytest.raises(BucketError) as caught:
        head(parse_bucket_url("s3://bkt/k"))
    text = f"{caught.value.message} {caught.value.hint}"
    assert "pa55word" not in text
    assert SECRET not in text
    return caught.value


def test_names_and_ports_that_nobody_has(environment: SetEnvironment) -> None:
    error = reaching("http://no.such.host.invalid", environment)
    assert "there is no server `no.such.host.invalid`, or no network" in error.message
    assert "AWS_ENDPOINT_URL" in str(error.hint)
    error = reaching("http://127.0.0.1:1", environment)
    assert error.message == "`127.0.0.1:1` refuses connections"


def test_a_certificate_that_is_not_trusted(
    certificate: Certificate, service: Service, environment: SetEnvironment,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    with serving(service.reply, context=certificate.context()) as secure:
        error = reaching(secure.url, environment)
        assert "is not trusted (its issuer is unknown)" in error.message
        assert "GEOBATCH_BUCKET_CA_FILE" in str(error.hint)
        for variable in ("GEOBATCH_BUCKET_CA_FILE", "AWS_CA_BUNDLE", "SSL_CERT_FILE"):
            environment(**{variable: str(certificate.path)})
            assert head(parse_bucket_url("s3://bkt/k")).size == 5
            monkeypatch.delenv(variable)
    with serving(service.reply, context=certificate.context("other.example")) as other:
        error = reaching(other.url, environment, AWS_CA_BUNDLE=str(certificate.path))
        assert "is not trusted (it is of another name)" in error.message
    error = reaching(service.url.replace("http:", "https:"), environment, AWS_CA_BUNDLE="")
    assert "does not speak TLS" in error.message


def test_encryption_is_given_up_only_where_the_endpoint_says_so(
    certificate: Certificate, service: Service, environment: SetEnvironment
) -> None:
    """A redirect from https to http is not followed."""
    leave = Answer(status=307, headers={"Location": f"{service.url}/bkt/k"})
    with serving(lambda _: leave, context=certificate.context()) as secure:
        reaching(secure.url, environment, GEOBATCH_BUCKET_CA_FILE=str(certificate.path))
    assert service.asked == []


def test_proxies(service: Service, environment: SetEnvironment) -> None:
    environment(HTTP_PROXY=service.url)
    environment(
        AWS_ACCESS_KEY_ID=KEY_ID, AWS_SECRET_ACCESS_KEY=SECRET, AWS_ENDPOINT_URL="http://s3.invalid"
    )
    assert head(parse_bucket_url("s3://bkt/k")).size == 5
    assert service.asked[0].path == "http://s3.invalid/bkt/k"
    service.reply = lambda _: Answer(status=407)
    error = reaching("http://s3.invalid", environment)
    assert f"the proxy `{service.host}` demands a login" in error.message
    environment(HTTP_PROXY="http://user:pa55word@127.0.0.1:1")
    error = reaching("http://s3.invalid", environment)
    assert "by the proxy `127.0.0.1:1`" in error.message
    assert "check `HTTP_PROXY`" in str(error.hint)
    environment(NO_PROXY="s3.invalid")
    error = reaching("http://s3.invalid", environment)
    assert "there is no server `s3.invalid`" in error.message
    environment(HTTPS_PROXY=service.url, NO_PROXY="")
    error = reaching("https://s3.invalid", environment)
    assert service.asked[-1].method == "CONNECT"
    assert "demands a login" in error.message


@pytest.mark.parametrize("variable", ["AZURE_STORAGE_ENDPOINT", "AZURE_ENDPOINT"])
def test_the_hint_names_the_variable_that_is_set(
    environment: SetEnvironment, variable: str
) -> None:
    environment(
        AZURE_STORAGE_ACCOUNT="acct", AZURE_STORAGE_KEY="a2V5", AZURE_ALLOW_HTTP="true",
        GEOBATCH_BUCKET_RETRIES="0", **{variable: "http://127.0.0.1:1/acct"},
    )  # fmt: skip
    with pytest.raises(BucketError) as caught:
        head(parse_bucket_url("az://container/x"))
    assert f"correct `{variable}`" in str(caught.value.hint)


def test_servers_that_are_silent(environment: SetEnvironment) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        begin = time.monotonic()
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        error = reaching(url, environment, GEOBATCH_BUCKET_STALL_SECONDS="1")
        assert time.monotonic() - begin < 4
    assert "did not answer in time" in error.message
    assert "GEOBATCH_BUCKET_STALL_SECONDS" in str(error.hint)
    assert not error.is_final


def test_retries(service: Service, environment: SetEnvironment) -> None:
    busy = Answer(status=503, body=xml("SlowDown", "x"))
    for retries in (0, 2):
        service.asked.clear()
        service.reply = lambda _: busy
        accounts(environment, service)
        environment(GEOBATCH_BUCKET_RETRIES=str(retries))
        with pytest.raises(BucketError):
            fetch(parse_bucket_url("s3://bkt/k"), [(0, 5)], STATE)
        assert len(service.asked) == retries + 1


# Tokens


def test_a_role_that_may_not_be_assumed(
    certificate: Certificate, service: Service, environment: SetEnvironment, tmp_path: Path
) -> None:
    body = (
        b"<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code><Message>Not authorized"
        b" to perform sts:AssumeRoleWithWebIdentity</Message></Error></ErrorResponse>"
    )
    (tmp_path / "token").write_text("JWT-SECRET")
    with serving(lambda _: Answer(status=403, body=body), context=certificate.context()) as roles:
        environment(
            AWS_ENDPOINT_URL_S3=service.url, AWS_ENDPOINT_URL_STS=roles.url,
            AWS_ROLE_ARN="arn:aws:iam::1:role/ci", GEOBATCH_BUCKET_RETRIES="0",
            AWS_WEB_IDENTITY_TOKEN_FILE=str(tmp_path / "token"),
            GEOBATCH_BUCKET_CA_FILE=str(certificate.path),
        )  # fmt: skip
        with pytest.raises(BucketError) as caught:
            head(parse_bucket_url("s3://bkt/k"))
    error = caught.value
    assert error.failure is Failure.DENIED
    assert "role `arn:aws:iam::1:role/ci` (a web identity) got no token" in error.message
    assert "sts:AssumeRoleWithWebIdentity" in error.message
    assert "JWT-SECRET" not in error.message


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"error": "invalid_client", "error_description": "AADSTS7000215: Invalid client secret"
          " provided. Trace ID: x\r\nCorrelation"}, "AADSTS7000215: Invalid client secret"),
        ({"error": "unauthorized_client"}, "unauthorized_client"),
    ],
)  # fmt: skip
def test_an_application_whose_secret_is_wrong(
    said: dict[str, str], words: str, service: Service, environment: SetEnvironment
) -> None:
    answer = Answer(status=401, body=json.dumps(said).encode())
    service.reply = lambda _: answer
    environment(
        AZURE_STORAGE_ACCOUNT="acct", AZURE_STORAGE_ENDPOINT=f"{service.url}/acct",
        AZURE_CLIENT_ID="app", AZURE_TENANT_ID="tenant", AZURE_CLIENT_SECRET="client-SECRET",
        AZURE_AUTHORITY_HOST=service.url, GEOBATCH_BUCKET_RETRIES="0",
    )  # fmt: skip
    with pytest.raises(BucketError, match="got no token") as caught:
        head(parse_bucket_url("az://bkt/k"))
    assert caught.value.failure is Failure.DENIED
    assert words in caught.value.message
    assert "client-SECRET" not in caught.value.message


def test_a_provider_that_fails(
    service: Service, environment: SetEnvironment, tmp_path: Path
) -> None:
    """A `credential_process` that works once, and then no more, as after a day."""
    script = tmp_path / "process.sh"
    said = {"Version": 1, "AccessKeyId": KEY_ID, "SecretAccessKey": SECRET,
            "Expiration": "2020-01-01T00:00:00Z"}  # fmt: skip
    script.write_text(f"test -e {tmp_path}/ran && exit 5; touch {tmp_path}/ran\n"
                      f"echo '{json.dumps(said)}'")  # fmt: skip
    (tmp_path / "config").write_text(f"[profile p]\ncredential_process = sh {script}\n")
    environment(
        AWS_CONFIG_FILE=str(tmp_path / "config"), AWS_PROFILE="p", AWS_ENDPOINT_URL=service.url
    )
    url = parse_bucket_url("s3://bkt/k")
    client(url)
    with pytest.raises(BucketError, match="failed with exit code 5") as caught:
        assert [head(url) for _ in range(3)] == []
    assert caught.value.failure is Failure.DENIED
    assert SECRET not in caught.value.message


# Secrets


@pytest.mark.parametrize(
    "text",
    [
        "GET https://b.s3.amazonaws.com/k?X-Amz-Credential=AKIA1&X-Amz-Signature=SECRET failed",
        "https://user:SECRET@proxy:3128/ is down", "http://SECRET@host/x",
        "uri: Some(https://acct.blob.core.windows.net/c/k?sv=2020&sig=SECRET%3D,)",
        "SharedAccessSignature=sv=1&sig=SECRET", "AccountKey=SECRET==;EndpointSuffix=x",
        "Authorization: Bearer SECRET", "authorization: SharedKey acct:SECRET=",
        '{"access_token": "SECRET", "x": 1}', '"refresh_token":"SECRET"',
        "client_secret=SECRET&a=b",
        "<SecretAccessKey>SECRET</SecretAccessKey>", "<SessionToken>SECRET</SessionToken>",
        "token eyJhbGciOi.SECRETSECRET.SECRET", "ya29.SECRET-x_y",
        "-----BEGIN PRIVATE KEY-----\nSECRET\n-----END PRIVATE KEY-----",
        "X-Amz-Security-Token: SECRET",
        "x-goog-signature=SECRET", "password=SECRET", "the key AKIASECRETSECRET1234 is unknown",
    ],
)  # fmt: skip
def test_secrets_of_known_forms(text: str) -> None:
    assert "SECRET" not in redact(text)
    assert "SECRET" not in first_line(text)


def test_secrets_of_the_environment(environment: SetEnvironment) -> None:
    environment(
        AWS_SECRET_ACCESS_KEY="plain1-SECRET", AZURE_STORAGE_KEY="plain2-SECRET",
        AZURE_CLIENT_SECRET="plain3-SECRET", GOOGLE_SERVICE_ACCOUNT_KEY="plain4-SECRET",
        AWS_SESSION_TOKEN="plain5-SECRET", AWS_ACCESS_KEY_ID="plain6-SECRET-abcd",
        AZURE_STORAGE_CONNECTION_STRING="AccountName=a;AccountKey=plain7-SECRET;X=y",
    )  # fmt: skip
    text = " ".join(f"<plain{number}-SECRET>" for number in (1, 2, 3, 4, 5, 7))
    found = redact(f"{text} plain6-SECRET-abcd AccountName")
    assert "SECRET" not in found
    assert found.endswith("...abcd AccountName")


def test_ordinary_texts_stay() -> None:
    for text in ("s3://bucket/dir/k", "the key `a/b` is missing", "https://host/a/b", "sigma = 3",
                 "gs://b/k#123", "arn:aws:iam::1:role/r", "/home/u/token/file"):  # fmt: skip
        assert redact(text) == text


def test_who_asks_is_not_a_secret(service: Service, environment: SetEnvironment) -> None:
    """Errors, and what is written of them, name identities, and nothing that opens a door."""
    answer = Answer(status=403, body=xml("AccessDenied", f"no {SECRET} for {KEY_ID}"))

    def reply(asked: Asked) -> Any:
        return answer

    service.reply = reply
    accounts(environment, service)
    for url in ("s3://bkt/k", "gs://bkt/k", "az://bkt/k"):
        with pytest.raises(BucketError) as caught:
            head(parse_bucket_url(url))
        assert SECRET not in caught.value.message
        assert KEY_ID not in caught.value.message
