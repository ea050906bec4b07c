"""Credentials are found where each cloud's own tools find them, and in their order."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import subprocess
import sys
import time
from base64 import urlsafe_b64decode
from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from service import OBJECT, Answer, Asked, Certificate, Service, serving

from geobatch.buckets import access
from geobatch.buckets.client import access_of
from geobatch.buckets.errors import BucketError, Failure
from geobatch.buckets.objects import head
from geobatch.buckets.url import BucketUrl, parse_bucket_url
from geobatch.errors import SettingError

pytestmark = pytest.mark.usefixtures("environment")
S3, GS, AZ = (parse_bucket_url(f"{scheme}://bkt/dir/k") for scheme in ("s3", "gs", "az"))
KEY = {"AWS_ACCESS_KEY_ID": "AKIAENVIRONMENT1", "AWS_SECRET_ACCESS_KEY": "env-secret-value"}
AZ_KEY = "a2V5LW9mLXRoZS1hY2NvdQ=="
LATER = "2036-10-24T23:00:23Z"
SetEnvironment = Callable[..., None]


def asked_of(service: Service, method: str = "HEAD") -> Asked:
    """Return the one request for the object."""
    (found,) = [
        one for one in service.asked if one.method == method and "dir/k" in unquote(one.path)
    ]
    return found


def signer(service: Service) -> str:
    """Return the access key that signed the request for the object."""
    return asked_of(service).authorization.partition("Credential=")[2].partition("/")[0]


def home() -> Path:
    return Path(os.environ["HOME"])


def without(monkeypatch: pytest.MonkeyPatch, module: str, name: str) -> None:
    """Have a module of `access` loaded again, with what it offers: a library is gone."""
    monkeypatch.delitem(sys.modules, f"{access.__name__}.{module}", raising=False)
    monkeypatch.delitem(vars(access), name, raising=False)


def write(name: str, text: str) -> str:
    path = home() / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return str(path)


# S3


def test_s3_keys_of_the_environment(service: Service, environment: SetEnvironment) -> None:
    environment(**KEY, AWS_ENDPOINT_URL=service.url, AWS_SESSION_TOKEN="the-token")
    assert head(S3).size == 5
    assert signer(service) == "AKIAENVIRONMENT1"
    assert asked_of(service).headers["x-amz-security-token"] == "the-token"
    assert access_of(S3).who == "access key `...ENT1`"


def test_s3_endpoints_and_regions(service: Service, environment: SetEnvironment) -> None:
    environment(**KEY, AWS_ENDPOINT_URL="http://127.0.0.1:1", AWS_ENDPOINT_URL_S3=service.url)
    for variables, region in (
        ({}, "us-east-1"),
        ({"AWS_DEFAULT_REGION": "eu-west-1"}, "eu-west-1"),
        ({"AWS_REGION": "eu-west-3"}, "eu-west-3"),
    ):
        service.asked.clear()
        environment(**variables)
        head(S3)
        assert f"/{region}/s3/aws4_request" in asked_of(service).authorization


def test_s3_profiles(service: Service, environment: SetEnvironment) -> None:
    config = "[default]\nregion = eu-a\n[profile two]\nregion = eu-b\n"
    write(".aws/config", f"{config}endpoint_url = {service.url}\ns3 =\n  max_queue_size = 9\n")
    two = "[two]\naws_access_key_id = AKIAPROFILE00002\naws_secret_access_key = t%wo==\n"
    write(".aws/credentials", "[default]\naws_access_key_id=AKIAPROFILE00001\n"
          f"aws_secret_access_key=one\n{two}")  # fmt: skip
    environment(AWS_ENDPOINT_URL_S3=service.url)
    head(S3)
    assert signer(service) == "AKIAPROFILE00001"
    assert "/eu-a/s3/" in asked_of(service).authorization
    assert access_of(S3).way == "profile `default`"
    service.asked.clear()
    environment(AWS_PROFILE="two", AWS_ENDPOINT_URL_S3="")
    head(S3)
    assert signer(service) == "AKIAPROFILE00002"
    assert "/eu-b/s3/" in asked_of(service).authorization
    assert access_of(S3).endpoint == service.url, "the profile names the endpoint"


def test_a_profile_without_a_token_takes_none_of_the_environment(
    service: Service, environment: SetEnvironment
) -> None:
    one = "[default]\naws_access_key_id = AKIAPROFILE00001\naws_secret_access_key = one\n"
    path = write("elsewhere", one)
    environment(
        AWS_ENDPOINT_URL=service.url, AWS_SESSION_TOKEN="stale", AWS_SHARED_CREDENTIALS_FILE=path
    )
    head(S3)
    assert signer(service) == "AKIAPROFILE00001"
    assert "x-amz-security-token" not in asked_of(service).headers


def test_keys_of_the_environment_count_before_a_profile(
    service: Service, environment: SetEnvironment
) -> None:
    write(".aws/credentials", "[p]\naws_access_key_id=AKIAPROFILE00001\naws_secret_access_key=1\n")
    environment(**KEY, AWS_ENDPOINT_URL=service.url, AWS_PROFILE="p")
    head(S3)
    assert signer(service) == "AKIAENVIRONMENT1"


def process(said: object) -> str:
    """Return the command of a `credential_process` that prints JSON."""
    return write("process.py", f"print({json.dumps(said)!r})") and (
        f'"{sys.executable}" "{home()}/process.py"'
    )


def test_s3_credential_process(service: Service, environment: SetEnvironment) -> None:
    said = {
        "Version": 1, "AccessKeyId": "AKIAPROCESS00001", "SecretAccessKey": "printed-secret",
        "SessionToken": "printed-token", "Expiration": LATER,
    }  # fmt: skip
    write(".aws/config", f"[profile p]\ncredential_process = {process(said)}\n")
    environment(AWS_ENDPOINT_URL=service.url, AWS_PROFILE="p")
    head(S3)
    assert signer(service) == "AKIAPROCESS00001"
    assert asked_of(service).headers["x-amz-security-token"] == "printed-token"
    assert "printed" not in repr(access_of(S3))


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (f"{sys.executable} -c 'print(\"the-secret\"); raise SystemExit(3)'", "exit code 3"),
        (f"{sys.executable} -c 'print(\"the-secret\")'", "something else than credentials"),
        ("/no/such/program the-secret", "cannot be run: No such file"),
        ("'unbalanced the-secret", "cannot be run"),
    ],
)
def test_a_credential_process_that_fails(
    command: str, words: str, environment: SetEnvironment
) -> None:
    write(".aws/config", f"[profile p]\ncredential_process = {command}\n")
    environment(AWS_ENDPOINT_URL="http://127.0.0.1:1", AWS_PROFILE="p")
    with pytest.raises(BucketError, match=words) as caught:
        head(S3)
    assert "the-secret" not in str(caught.value.message) + str(caught.value.hint)


def test_s3_role_of_another_profile(service: Service, environment: SetEnvironment) -> None:
    """boto3 asks for the role, signed by the keys of the other profile."""

    def reply(asked: Asked) -> Answer:
        if b"Action=AssumeRole" not in asked.body:
            return OBJECT
        body = (
            "<AssumeRoleResponse xmlns='https://sts.amazonaws.com/doc/2011-06-15/'>"
            "<AssumeRoleResult><Credentials><AccessKeyId>ASIAASSUMED00001</AccessKeyId>"
            "<SecretAccessKey>s</SecretAccessKey><SessionToken>role-token</SessionToken>"
            f"<Expiration>{LATER}</Expiration></Credentials></AssumeRoleResult>"
            "</AssumeRoleResponse>"
        )
        return Answer(body=body.encode(), headers={"Content-Type": "text/xml"})

    service.reply = reply
    role = "arn:aws:iam::123456789012:role/reader"
    write(".aws/config", "[profile base]\nregion = eu-a\n[profile p]\nregion = eu-a\n"
          f"role_arn = {role}\nsource_profile = base\n")  # fmt: skip
    write(".aws/credentials",
          "[base]\naws_access_key_id = AKIABASE00000001\naws_secret_access_key = b\n")  # fmt: skip
    environment(AWS_ENDPOINT_URL=service.url, AWS_PROFILE="p")
    head(S3)
    assert service.asked[0].authorization.startswith("AWS4-HMAC-SHA256 Credential=AKIABASE0")
    assert signer(service) == "ASIAASSUMED00001"
    assert access_of(S3).who == f"role `{role}`"


@pytest.mark.parametrize(
    ("profile", "words"),
    [
        ("role_arn = arn:aws:iam::1:role/r\nsource_profile = base", "uses role_arn"),
        ("sso_session = s\nsso_account_id = 1\nsso_role_name = r", "uses single sign-on"),
    ],
)
def test_what_requires_boto3_says_so(
    profile: str, words: str, environment: SetEnvironment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "boto3", None)
    without(monkeypatch, "by_boto3", "credentials_of_profile")
    write(".aws/config", f"[profile p]\n{profile}\n")
    environment(AWS_ENDPOINT_URL="http://127.0.0.1:1", AWS_PROFILE="p")
    with pytest.raises(BucketError, match=words) as caught:
        head(S3)
    assert "boto3>=" in str(caught.value.hint)


def test_single_sign_on_that_has_ended(environment: SetEnvironment) -> None:
    write(".aws/config", "[sso-session s]\nsso_region = eu-a\nsso_start_url = http://127.0.0.1:1/\n"
          "[profile p]\nregion = eu-a\nsso_session = s\nsso_account_id = 123456789012\n"
          "sso_role_name = r\n")  # fmt: skip
    environment(AWS_ENDPOINT_URL="http://127.0.0.1:1", AWS_PROFILE="p")
    with pytest.raises(BucketError, match="profile `p` gives no credentials") as caught:
        head(S3)
    assert "`aws sso login --profile p`" in str(caught.value.hint)


def test_s3_single_sign_on(service: Service, environment: SetEnvironment) -> None:
    """With the token that `aws sso login` left, boto3 asks for keys of the role."""

    def reply(asked: Asked) -> Answer:
        if not asked.path.startswith("/federation/credentials"):
            return OBJECT
        assert asked.headers["x-amz-sso_bearer_token"] == "SSO-TOKEN"
        said = {
            "roleCredentials": {
                "accessKeyId": "ASIASINGLESIGN01",
                "secretAccessKey": "s",
                "sessionToken": "t",
                "expiration": 2108422823000,
            }
        }
        return Answer(body=json.dumps(said).encode(), headers={"Content-Type": "application/json"})

    service.reply = reply
    write(".aws/config", "[sso-session s]\nsso_region = eu-a\nsso_start_url = https://x.invalid/\n"
          "[profile p]\nregion = eu-a\nsso_session = s\nsso_account_id = 123456789012\n"
          "sso_role_name = r\n")  # fmt: skip
    name = hashlib.sha1(b"s").hexdigest()
    write(f".aws/sso/cache/{name}.json",
          json.dumps({"accessToken": "SSO-TOKEN", "expiresAt": LATER, "region": "eu-a",
                      "startUrl": "https://x.invalid/"}))  # fmt: skip
    environment(AWS_ENDPOINT_URL=service.url, AWS_PROFILE="p")
    # boto3 asks where the home folder is when it is imported: so a process of its own.
    program = (
        "from geobatch.buckets.objects import head\n"
        "from geobatch.buckets.url import parse_bucket_url\n"
        "print(head(parse_bucket_url('s3://bkt/dir/k')).size)\n"
    )
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.stdout == "5\n", done.stderr
    assert signer(service) == "ASIASINGLESIGN01"


def test_s3_web_identity(
    service: Service, certificate: Certificate, environment: SetEnvironment
) -> None:
    def reply(asked: Asked) -> Answer:
        if "AssumeRoleWithWebIdentity" not in asked.path + asked.body.decode():
            return OBJECT
        body = (
            "<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><Credentials>"
            "<SessionToken>web-token</SessionToken><SecretAccessKey>s</SecretAccessKey>"
            f"<Expiration>{LATER}</Expiration><AccessKeyId>ASIAWEBIDENTITY1</AccessKeyId>"
            "</Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>"
        )
        return Answer(body=body.encode())

    role = "arn:aws:iam::123456789012:role/ci"
    # The library asks for the role over TLS only.
    with serving(reply, context=certificate.context()) as roles:
        environment(
            AWS_ENDPOINT_URL_S3=service.url, AWS_ENDPOINT_URL_STS=roles.url, AWS_ROLE_ARN=role,
            AWS_WEB_IDENTITY_TOKEN_FILE=write("token", "JWT-OF-THE-JOB"),
            GEOBATCH_BUCKET_CA_FILE=str(certificate.path),
        )  # fmt: skip
        head(S3)
    assert "JWT-OF-THE-JOB" in roles.asked[0].path + roles.asked[0].body.decode()
    assert signer(service) == "ASIAWEBIDENTITY1"
    assert access_of(S3).who == f"role `{role}`"


def container(asked: Asked) -> Answer:
    if not asked.path.startswith("/creds"):
        return OBJECT
    said = {"AccessKeyId": "ASIACONTAINER001", "SecretAccessKey": "s", "Token": "t",
            "Expiration": LATER}  # fmt: skip
    return Answer(body=json.dumps(said).encode())


def test_s3_role_of_a_container(service: Service, environment: SetEnvironment) -> None:
    service.reply = container
    environment(
        AWS_ENDPOINT_URL=service.url,
        AWS_CONTAINER_CREDENTIALS_FULL_URI=f"{service.url}/creds/x",
        AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE=write("token", "pod-token"),
    )
    head(S3)
    assert service.asked[0].authorization == "pod-token"
    assert signer(service) == "ASIACONTAINER001"


def instance(asked: Asked) -> Answer:
    if asked.path == "/latest/api/token":
        return Answer(body=b"imds-token") if asked.method == "PUT" else Answer(status=405)
    if asked.path.startswith("/latest/meta-data/iam/security-credentials/"):
        if asked.headers.get("x-aws-ec2-metadata-token") != "imds-token":
            return Answer(status=401)
        if asked.path.endswith("/"):
            return Answer(body=b"role-of-vm")
        return container(Asked(method="GET", path="/creds", headers={}, body=b""))
    return OBJECT


def test_s3_role_of_an_instance(service: Service, environment: SetEnvironment) -> None:
    service.reply = instance
    environment(AWS_ENDPOINT_URL=service.url, AWS_EC2_METADATA_SERVICE_ENDPOINT=service.url)
    head(S3)
    assert signer(service) == "ASIACONTAINER001"
    assert access_of(S3).who == "role `role-of-vm` of this instance"
    environment(AWS_EC2_METADATA_DISABLED="true")
    with pytest.raises(BucketError, match="no credentials of AWS"):
        head(S3)


def test_s3_anonymous_and_requester_pays(service: Service, environment: SetEnvironment) -> None:
    environment(
        **KEY, AWS_ENDPOINT_URL=service.url, GEOBATCH_BUCKET_ANONYMOUS="gs://other, s3://bkt"
    )
    head(S3)
    assert asked_of(service).authorization == ""
    service.asked.clear()
    environment(GEOBATCH_BUCKET_ANONYMOUS="s3://other", GEOBATCH_BUCKET_REQUESTER_PAYS="s3://bkt")
    head(S3)
    assert signer(service) == "AKIAENVIRONMENT1"
    assert asked_of(service).headers["x-amz-request-payer"] == "requester"
    service.asked.clear()
    environment(GEOBATCH_BUCKET_REQUESTER_PAYS="s3://other", AWS_SKIP_SIGNATURE="true")
    head(S3)
    assert asked_of(service).authorization == ""
    assert "x-amz-request-payer" not in asked_of(service).headers


# Google Cloud


@pytest.fixture(scope="module")
def private_key() -> str:
    key = rsa.generate_private_key(65537, 2048)
    kinds = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    return key.private_bytes(*kinds, serialization.NoEncryption()).decode()


def account(key: str, mail: str = "reader@p.iam.gserviceaccount.com") -> str:
    return json.dumps({
        "type": "service_account", "client_email": mail, "private_key_id": "i",
        "private_key": key, "project_id": "p", "token_uri": "https://oauth2.googleapis.com/token",
    })  # fmt: skip


def subject(service: Service) -> str:
    """Return who signed the token of the request, by its claims."""
    token = asked_of(service).authorization.removeprefix("Bearer ").split(".")[1]
    claims = json.loads(urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    return str(claims["iss"])


def test_gs_named_file_then_gclouds(
    service: Service, environment: SetEnvironment, private_key: str
) -> None:
    named = write("key.json", account(private_key, "named@p.iam.gserviceaccount.com"))
    write(".config/gcloud/application_default_credentials.json",
          account(private_key, "home@p.iam.gserviceaccount.com"))  # fmt: skip
    write("other/application_default_credentials.json",
          account(private_key, "other@p.iam.gserviceaccount.com"))  # fmt: skip
    environment(GOOGLE_BASE_URL=service.url)
    for variables, who in (
        ({}, "home"),
        ({"CLOUDSDK_CONFIG": f"{home()}/other"}, "other"),
        ({"GOOGLE_APPLICATION_CREDENTIALS": named}, "named"),
    ):
        service.asked.clear()
        environment(**variables)
        head(GS)
        assert subject(service) == f"{who}@p.iam.gserviceaccount.com"
        assert access_of(GS).who == f"`{who}@p.iam.gserviceaccount.com`"


def test_gs_metadata_server(service: Service, environment: SetEnvironment) -> None:
    def reply(asked: Asked) -> Answer:
        if "computeMetadata" not in asked.path:
            return OBJECT
        if asked.headers.get("metadata-flavor") != "Google":
            return Answer(status=403)
        if asked.path.endswith("/email"):
            return Answer(body=b"vm@p.iam.gserviceaccount.com")
        said = {"access_token": "ya29.of-the-machine", "expires_in": 3600, "token_type": "Bearer"}
        return Answer(body=json.dumps(said).encode())

    service.reply = reply
    environment(GOOGLE_BASE_URL=service.url, GCE_METADATA_HOST=service.host)
    head(GS)
    assert asked_of(service).authorization == "Bearer ya29.of-the-machine"
    assert access_of(GS).who == "`vm@p.iam.gserviceaccount.com`"


def test_gs_workload_identity_federation(service: Service, environment: SetEnvironment) -> None:
    """As pipelines of GitHub and GitLab have it, through Google's own library."""

    def reply(asked: Asked) -> Answer:
        if asked.path == "/sts":
            said = {
                "access_token": "ya29.federated",
                "expires_in": 3600,
                "token_type": "Bearer",
                "issued_token_type": "urn:ietf:params:oauth:token-type:access_token",
            }
        elif "generateAccessToken" in asked.path:
            said = {"accessToken": "ya29.impersonated", "expireTime": LATER}
        else:
            return OBJECT
        return Answer(body=json.dumps(said).encode(), headers={"Content-Type": "application/json"})

    service.reply = reply
    mail = "ci@p.iam.gserviceaccount.com"
    file = write("external.json", json.dumps({
        "type": "external_account", "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "audience": "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/w/x/y",
        "token_url": f"{service.url}/sts",
        "service_account_impersonation_url": f"{service.url}/v1/{mail}:generateAccessToken",
        "credential_source": {"file": write("token", "JWT-OF-THE-JOB")},
    }))  # fmt: skip
    environment(GOOGLE_BASE_URL=service.url, GOOGLE_APPLICATION_CREDENTIALS=file)
    head(GS)
    assert b"JWT-OF-THE-JOB" in service.asked[0].body
    assert asked_of(service).authorization == "Bearer ya29.impersonated"
    assert access_of(GS).who == f"`{mail}`"


def test_gs_types_that_require_google_auth_say_so(
    environment: SetEnvironment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "google.auth", None)
    without(monkeypatch, "by_google_auth", "credentials_of_file")
    file = write("external.json", '{"type": "external_account"}')
    environment(GOOGLE_APPLICATION_CREDENTIALS=file)
    with pytest.raises(BucketError, match=r"`external_account`: they require") as caught:
        head(GS)
    assert "google-auth[requests]>=" in str(caught.value.hint)


def test_gs_emulator_anonymous_and_requester_pays(
    service: Service, environment: SetEnvironment
) -> None:
    environment(STORAGE_EMULATOR_HOST=service.host)
    head(GS)
    assert asked_of(service).authorization == ""
    service.asked.clear()
    environment(
        STORAGE_EMULATOR_HOST="", GOOGLE_BASE_URL=service.url, GEOBATCH_BUCKET_ANONYMOUS="true",
        GEOBATCH_BUCKET_REQUESTER_PAYS="gs://bkt",
    )  # fmt: skip
    with pytest.raises(SettingError, match="no project is named that pays"):
        head(GS)
    environment(GOOGLE_CLOUD_PROJECT="payer")
    head(GS)
    assert asked_of(service).authorization == ""
    assert asked_of(service).headers["x-goog-user-project"] == "payer"


# Azure


def azure(service: Service, **more: str) -> dict[str, str]:
    return {
        "AZURE_STORAGE_ACCOUNT": "acct", "AZURE_STORAGE_ENDPOINT": f"{service.url}/acct", **more
    }  # fmt: skip


def token_service(asked: Asked) -> Answer:
    if "token" not in asked.path:
        return OBJECT
    said = {
        "access_token": "azure-token",
        "expires_on": "2082758400",
        "token_type": "Bearer",
        "resource": "https://storage.azure.com",
        "expires_in": 3600,
        "ext_expires_in": 3600,
    }
    return Answer(body=json.dumps(said).encode(), headers={"Content-Type": "application/json"})


@pytest.mark.parametrize("variable", ["AZURE_STORAGE_KEY", "AZURE_STORAGE_ACCOUNT_KEY"])
def test_az_key(variable: str, service: Service, environment: SetEnvironment) -> None:
    environment(**azure(service, **{variable: AZ_KEY}))
    head(AZ)
    assert asked_of(service).authorization.startswith("SharedKey acct:")
    assert access_of(AZ).who == "the key of account `acct`"


@pytest.mark.parametrize("mark", ["?", ""])
def test_az_shared_access_signature(
    mark: str, service: Service, environment: SetEnvironment
) -> None:
    token = f"{mark}sv=2024&sp=rl&sig=SIGNATURE%3D"
    environment(**azure(service, AZURE_STORAGE_SAS_TOKEN=token))
    head(AZ)
    assert asked_of(service).path == "/acct/bkt/dir/k?sv=2024&sp=rl&sig=SIGNATURE%3D"
    assert "SIGNATURE" not in repr(access_of(AZ))


def test_az_connection_string(service: Service, environment: SetEnvironment) -> None:
    text = f"DefaultEndpointsProtocol=http;AccountName=acct;BlobEndpoint={service.url}/acct;"
    for more, sign in (
        (f"AccountKey={AZ_KEY};", "SharedKey acct:"),
        ("SharedAccessSignature=sv=1&sig=x%3D", ""),
    ):
        service.asked.clear()
        environment(AZURE_STORAGE_CONNECTION_STRING=text + more)
        head(AZ)
        assert asked_of(service).authorization.startswith(sign)
        assert asked_of(service).path.startswith("/acct/bkt/dir/k")


def test_az_keys_are_of_the_account_that_the_environment_names(
    service: Service, environment: SetEnvironment
) -> None:
    environment(**azure(service, AZURE_STORAGE_KEY=AZ_KEY))
    other = parse_bucket_url("abfs://bkt@other.dfs.core.windows.net/dir/k")
    with pytest.raises(BucketError, match="no credentials of Azure"):
        head(other)
    assert service.asked == []
    same = parse_bucket_url("abfs://bkt@acct.dfs.core.windows.net/dir/k")
    assert head(same).size == 5


def test_az_application(service: Service, environment: SetEnvironment) -> None:
    service.reply = token_service
    environment(**azure(
        service, AZURE_CLIENT_ID="app", AZURE_TENANT_ID="tenant", AZURE_AUTHORITY_HOST=service.url,
        AZURE_CLIENT_SECRET="the-client-secret",
    ))  # fmt: skip
    head(AZ)
    assert b"the-client-secret" in service.asked[0].body
    assert asked_of(service).authorization == "Bearer azure-token"
    assert access_of(AZ).who == "application `app`"


def test_az_workload_identity(service: Service, environment: SetEnvironment) -> None:
    service.reply = token_service
    environment(**azure(
        service, AZURE_CLIENT_ID="app", AZURE_TENANT_ID="tenant", AZURE_AUTHORITY_HOST=service.url,
        AZURE_FEDERATED_TOKEN_FILE=write("token", "JWT-OF-THE-JOB"),
    ))  # fmt: skip
    head(AZ)
    assert b"JWT-OF-THE-JOB" in service.asked[0].body
    assert asked_of(service).authorization == "Bearer azure-token"


def test_az_managed_identity(service: Service, environment: SetEnvironment) -> None:
    service.reply = token_service
    environment(**azure(service, IDENTITY_ENDPOINT=f"{service.url}/msi/token", IDENTITY_HEADER="h"))
    head(AZ)
    assert service.asked[0].headers["x-identity-header"] == "h"
    assert asked_of(service).authorization == "Bearer azure-token"


def test_az_managed_identity_of_a_machine(service: Service, environment: SetEnvironment) -> None:
    service.reply = token_service
    environment(**azure(service, AZURE_POD_IDENTITY_AUTHORITY_HOST=service.url))
    head(AZ)
    assert service.asked[0].headers["metadata"] == "true"
    assert asked_of(service).authorization == "Bearer azure-token"
    assert access_of(AZ).who == "the managed identity of this machine"
    environment(AZURE_CLIENT_ID="mine")
    service.asked.clear()
    head(AZ)
    assert all("client_id=mine" in one.path for one in service.asked if "token" in one.path)
    assert access_of(AZ).who == "managed identity `mine`"


def test_az_cli(
    service: Service, environment: SetEnvironment, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = {
        "accessToken": "cli-token",
        "expiresOn": "2036-01-01 00:00:00.000000",
        "expires_on": 2082758400,
        "subscription": "s",
        "tenant": "t",
        "tokenType": "Bearer",
    }
    program = Path(write("bin/az", f"#!/bin/sh\necho '{json.dumps(said)}'\n"))
    program.chmod(0o755)
    profile = {"subscriptions": [{"isDefault": True, "user": {"name": "ann@example.org"}}]}
    write(".azure/azureProfile.json", "\ufeff" + json.dumps(profile))
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    environment(**azure(service))
    head(AZ)
    assert asked_of(service).authorization == "Bearer cli-token"
    assert access_of(AZ).who == "`ann@example.org`"


def test_az_anonymous(service: Service, environment: SetEnvironment) -> None:
    environment(**azure(service, GEOBATCH_BUCKET_ANONYMOUS="az://bkt"))
    head(AZ)
    assert asked_of(service).authorization == ""


# None at all


@pytest.mark.parametrize(
    ("scheme", "words", "hint"),
    [
        ("s3", "no credentials of AWS", "GEOBATCH_BUCKET_ANONYMOUS=s3://bkt"),
        ("gs", "no credentials of Google Cloud", "gcloud auth application-default login"),
        ("az", "no credentials of Azure", "az login"),
    ],
)
def test_no_credentials_are_an_error_at_once(
    scheme: str, words: str, hint: str, environment: SetEnvironment
) -> None:
    """Also where the metadata service is an address that never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=1) as silent:
        host = f"127.0.0.1:{silent.getsockname()[1]}"
        environment(
            AWS_EC2_METADATA_SERVICE_ENDPOINT=f"http://{host}", GCE_METADATA_HOST=host,
            AWS_REGION="eu-west-1", AZURE_STORAGE_ACCOUNT="acct",
        )  # fmt: skip
        begin = time.monotonic()
        with pytest.raises(BucketError, match=words) as caught:
            head(parse_bucket_url(f"{scheme}://bkt/k"))
        assert time.monotonic() - begin < 5
    assert caught.value.failure is Failure.DENIED
    assert hint in str(caught.value.hint)


def test_credentials_that_are_not_there_are_searched_for_once(environment: SetEnvironment) -> None:
    """Not for each of many objects: each search waits for a machine's metadata service."""
    with socket.create_server(("127.0.0.1", 0), backlog=1) as silent:
        host = f"127.0.0.1:{silent.getsockname()[1]}"
        environment(AWS_EC2_METADATA_SERVICE_ENDPOINT=f"http://{host}", AWS_REGION="eu-west-1")
        begin = time.monotonic()
        for number in range(100):
            with pytest.raises(BucketError, match="no credentials of AWS"):
                head(parse_bucket_url(f"s3://bkt/{number}"))
        assert time.monotonic() - begin < 5


@pytest.mark.parametrize(
    ("url", "variables", "words"),
    [
        (S3, {"AWS_ACCESS_KEY_ID": "AKIA"}, "`AWS_SECRET_ACCESS_KEY` is not"),
        (S3, {"AWS_SECRET_ACCESS_KEY": "my-secret"}, "`AWS_ACCESS_KEY_ID` is not"),
        (S3, {"AWS_PROFILE": "none"}, "`AWS_PROFILE` is `none`, and there is no such profile"),
        (S3, {"AWS_ROLE_ARN": "r", "AWS_WEB_IDENTITY_TOKEN_FILE": "/no/file"}, "No such file"),
        (GS, {"GOOGLE_APPLICATION_CREDENTIALS": "/no/file"}, "No such file"),
        (GS, {"GOOGLE_APPLICATION_CREDENTIALS": __file__}, "not a file of Google credentials"),
        (GS, {"GOOGLE_SERVICE_ACCOUNT_KEY": "my-secret"}, "not the key of a service account"),
        (AZ, {}, "`az://bkt/dir/k` names no storage account"),
        (AZ, {"AZURE_STORAGE_CONNECTION_STRING": "my-secret"}, "is not a connection string"),
        (
            AZ,
            {"AZURE_STORAGE_ACCOUNT": "acct", "AZURE_STORAGE_KEY": "my-secret!"},
            "cannot be used",
        ),
        (S3, {"GEOBATCH_BUCKET_ANONYMOUS": "bucket"}, "it is not the url of a bucket"),
        (S3, {"GEOBATCH_BUCKET_RETRIES": "-1"}, "expected a whole number of at least 0"),
        (S3, {"GEOBATCH_BUCKET_STALL_SECONDS": "0"}, "expected a whole number of at least 1"),
        (S3, {"GEOBATCH_BUCKET_ANONYMUS": "x"}, "`GEOBATCH_BUCKET_ANONYMUS` is not a setting"),
        (S3, {"GEOBATCH_BUCKET_CA_FILE": "/no/file"}, "cannot be read: No such file"),
        (S3, {"AWS_CA_BUNDLE": __file__}, "in which there is no certificate"),
    ],
)
def test_what_cannot_be_used_is_named(
    url: BucketUrl, variables: dict[str, str], words: str, environment: SetEnvironment
) -> None:
    environment(AWS_ENDPOINT_URL="http://127.0.0.1:1")
    if "GEOBATCH" in str(variables) or "AWS_CA_BUNDLE" in variables:
        environment(**KEY)
    environment(**variables)
    with pytest.raises(SettingError, match=words) as caught:
        head(url)
    assert "my-secret" not in f"{caught.value.message} {caught.value.hint}"
    assert caught.value.hint


def test_a_profile_that_is_not_valid_is_named_without_its_text(environment: SetEnvironment) -> None:
    write(".aws/credentials", "[default]\nmy-secret\n")
    environment(AWS_ENDPOINT_URL="http://127.0.0.1:1")
    with pytest.raises(SettingError, match="line 2") as caught:
        head(S3)
    assert "my-secret" not in f"{caught.value.message} {caught.value.hint}"
