"""How a bucket of Google Cloud Storage is reached."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from geobatch.buckets import access
from geobatch.buckets.access.access import Access, checked_url, checked_word, named_file, shown
from geobatch.buckets.errors import BucketError, Failure
from geobatch.buckets.redaction import first_line
from geobatch.buckets.settings import REQUESTER_PAYS, Settings
from geobatch.buckets.url import BucketUrl
from geobatch.errors import SettingError
from geobatch.extras import install_hint

VARIABLE = "GOOGLE_APPLICATION_CREDENTIALS"
_PATHS = ("GOOGLE_SERVICE_ACCOUNT", "GOOGLE_SERVICE_ACCOUNT_PATH")
_DEFAULT_FILE = "application_default_credentials.json"
_METADATA = "169.254.169.254"
"""Address of `metadata.google.internal`, which need not be resolved."""
_ENDPOINT = "https://storage.googleapis.com"
_TOKEN = "GOOGLE_BEARER_TOKEN"  # noqa: S105 - a name
_ACCOUNT = "/computeMetadata/v1/instance/service-accounts/default/email"
_KNOWN = ("service_account", "authorized_user")
"""Types of credentials that the library reads itself."""


def gs_access(url: BucketUrl, environment: Mapping[str, str], settings: Settings) -> Access:
    """Return how a bucket is reached, in the order of Application Default Credentials.

    Args:
        url: The bucket.
        environment: Variables and home folder in which credentials are searched for.
        settings: Whether requests are not to be signed, and who pays.

    Raises:
        SettingError: A variable, or the file that it names, cannot be used.
        BucketError: There are no credentials.
    """
    emulator = environment.get("STORAGE_EMULATOR_HOST", "")
    if emulator and "://" not in emulator:
        emulator = f"http://{emulator}"
    emulator = checked_url(emulator, "STORAGE_EMULATOR_HOST")
    endpoint = emulator or checked_url(environment.get("GOOGLE_BASE_URL", ""), "GOOGLE_BASE_URL")
    if emulator or settings.is_anonymous(url):
        found = Access(
            way="the emulator" if emulator else "anonymous",
            who="nobody",
            is_anonymous=True,
            config={"skip_signature": True},
        )
    else:
        found = (
            _token(environment)
            or _service_account(environment)
            or _named(environment)
            or _default(environment)
            or _machine(environment)
            or _none(url)
        )
    endpoint = endpoint or found.endpoint
    # The library also takes an empty variable for an endpoint.
    config = {"base_url": endpoint or _ENDPOINT, **found.config}
    return Access(
        way=found.way,
        who=found.who,
        endpoint=endpoint,
        is_anonymous=found.is_anonymous,
        headers=_billing(environment) if settings.is_requester_paid(url) else {},
        config=config,
        provider=found.provider,
    )


def _billing(environment: Mapping[str, str]) -> dict[str, str]:
    names = ("GOOGLE_CLOUD_QUOTA_PROJECT", "GOOGLE_CLOUD_PROJECT", "CLOUDSDK_CORE_PROJECT")
    project = next((environment[name] for name in names if environment.get(name)), "")
    if not project:
        raise SettingError(
            f"`{REQUESTER_PAYS.variable}` is set, and no project is named that pays",
            hint="name it: `export GOOGLE_CLOUD_PROJECT=$(gcloud config get project)`",
        )
    return {"x-goog-user-project": project}


def _token(environment: Mapping[str, str]) -> Access | None:
    """Return access by a token in a variable that only obstore reads."""
    token = environment.get(_TOKEN)
    if not token:
        return None
    config = {"bearer_token": checked_word(token, _TOKEN)}
    return Access(way=f"`{_TOKEN}`", who="whose token it is", config=config)


def _service_account(environment: Mapping[str, str]) -> Access | None:
    """Return access by a key of a service account in a variable that only obstore reads."""
    for variable in ("GOOGLE_SERVICE_ACCOUNT_KEY", *_PATHS):
        if not environment.get(variable):
            continue
        text = named_file(environment, variable) if variable in _PATHS else environment[variable]
        try:
            found: dict[str, Any] = json.loads(text)
            base = str(found.get("gcs_base_url") or "")
            mail = found.get("client_email")
        except (ValueError, AttributeError):
            raise SettingError(
                f"`{variable}` is not the key of a service account",
                hint=f"name the file of a key in `{VARIABLE}`, and `unset {variable}`",
            ) from None
        endpoint = checked_url(base, f"gcs_base_url of {variable}")
        return Access(
            way=f"`{variable}`",
            who=f"`{shown(str(mail))}`" if mail else "a service account",
            endpoint=endpoint,
            config={"service_account_key": text, **({"base_url": endpoint} if endpoint else {})},
        )
    return None


def _named(environment: Mapping[str, str]) -> Access | None:
    if not environment.get(VARIABLE):
        return None
    text = named_file(environment, VARIABLE)
    return _from_file(text, environment[VARIABLE], way=f"`{VARIABLE}`")


def _default(environment: Mapping[str, str]) -> Access | None:
    """Return access by what `gcloud auth application-default login` wrote."""
    home = environment.get("HOME", "")
    folder = environment.get("CLOUDSDK_CONFIG") or (home and str(Path(home, ".config", "gcloud")))
    path = Path(folder, _DEFAULT_FILE) if folder else None
    if path is None or not path.is_file():
        return None
    text = named_file({_DEFAULT_FILE: str(path)}, _DEFAULT_FILE)
    return _from_file(text, str(path), way="gcloud's application default credentials")


def _from_file(text: str, path: str, *, way: str) -> Access:
    try:
        found: dict[str, Any] = json.loads(text)
        kind = str(found["type"])
    except (ValueError, KeyError, TypeError):
        raise SettingError(
            f"`{shown(path)}` is not a file of Google credentials",
            hint="make one: `gcloud auth application-default login`",
        ) from None
    if kind in _KNOWN:
        who = found.get("client_email") or found.get("account")
        who = (
            f"`{shown(str(who))}`" if who else "the user of `gcloud auth application-default login`"
        )
        return Access(way=way, who=who, config={"application_credentials": path})
    return _by_google_auth(found, kind, path, way=way)


def _by_google_auth(found: dict[str, Any], kind: str, path: str, *, way: str) -> Access:
    """Return access by credentials of types that only Google's own library can use."""
    scopes = ["https://www.googleapis.com/auth/devstorage.read_write"]
    try:
        credentials_of_file = access.credentials_of_file
    except ImportError:
        message = (
            f"`{shown(path)}` has credentials of type `{shown(kind)}`: they require `geobatch[gs]`"
        )
        raise BucketError(Failure.DENIED, message, hint=install_hint("gs")) from None
    try:
        provider = credentials_of_file(found, kind, scopes=scopes)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise SettingError(
            f"`{shown(path)}` has credentials of type `{shown(kind)}` that cannot be used: "
            f"{first_line(str(error))}",
            hint="make them again: `gcloud iam workload-identity-pools create-cred-config --help`",
        ) from None
    named = str(found.get("service_account_impersonation_url", "")).rpartition("/")[2]
    mail = named.partition(":")[0]
    audience = shown(str(found.get("audience", kind)))
    who = f"`{shown(mail)}`" if mail else f"an identity of `{audience}`"
    return Access(way=f"{way} ({shown(kind)})", who=who, provider=provider)


def _machine(environment: Mapping[str, str]) -> Access | None:
    if environment.get("NO_GCE_CHECK", "").lower() == "true":
        return None
    names = ("GCE_METADATA_HOST", "GCE_METADATA_ROOT", "GCE_METADATA_IP")
    name = next((one for one in names if one in environment), "")
    host = environment[name] if name else _METADATA
    if name:
        checked_url(f"http://{host or '?'}", name)
    mail = access.ask(f"http://{host}", _ACCOUNT, headers={"Metadata-Flavor": "Google"})
    if mail is None or "@" not in mail:
        return None
    return Access(way="the metadata server", who=f"`{mail.strip()[:200]}`")


def _none(url: BucketUrl) -> Access:
    raise BucketError(
        Failure.DENIED,
        "no credentials of Google Cloud were found",
        hint="log in: `gcloud auth application-default login` (`gcloud auth login` is not enough);"
        f" if the bucket is public, `export GEOBATCH_BUCKET_ANONYMOUS=gs://{url.bucket}`",
    )
