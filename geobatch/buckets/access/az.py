"""How a container of Azure Blob Storage is reached."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from geobatch.buckets import access
from geobatch.buckets.access.access import Access, checked_url, named_file, shown
from geobatch.buckets.errors import BucketError, Failure
from geobatch.buckets.settings import Settings
from geobatch.buckets.url import BucketUrl
from geobatch.errors import SettingError

_CONNECTION = "AZURE_STORAGE_CONNECTION_STRING"
_ACCOUNTS = ("AZURE_STORAGE_ACCOUNT", "AZURE_STORAGE_ACCOUNT_NAME")
_KEYS = ("AZURE_STORAGE_KEY", "AZURE_STORAGE_ACCOUNT_KEY", "AZURE_STORAGE_ACCESS_KEY")
_TOKENS = ("AZURE_STORAGE_SAS_TOKEN", "AZURE_STORAGE_SAS_KEY")
_INSTANCE = "http://169.254.169.254"
_POD = "AZURE_POD_IDENTITY_AUTHORITY_HOST"
"""Variable that replaces the address of the metadata service, as for Microsoft's libraries."""
_MANAGED = ("AZURE_MSI_ENDPOINT", "AZURE_IDENTITY_ENDPOINT", "IDENTITY_ENDPOINT", "MSI_ENDPOINT")
_AUTHORITY = "https://login.microsoftonline.com"
_ACCOUNT = re.compile("[a-z0-9]{3,24}")
_IDENTITY = (
    "/metadata/identity/oauth2/token?api-version=2018-02-01&resource=https://storage.azure.com"
)


def az_access(url: BucketUrl, environment: Mapping[str, str], settings: Settings) -> Access:
    """Return how a container is reached: by a key, a signature, an application, or a login.

    Args:
        url: The container.
        environment: Variables and home folder in which credentials are searched for.
        settings: Whether requests are not to be signed.

    Raises:
        SettingError: A variable cannot be used, or no account is named.
        BucketError: There are no credentials.
    """
    connection = _connection(environment)
    if connection.get("UseDevelopmentStorage", "").lower() == "true" or (
        environment.get("AZURE_STORAGE_USE_EMULATOR", "").lower() == "true"
    ):
        # The library knows the emulator's account and key, which are public.
        port = "http://127.0.0.1:10000"
        config = {"use_emulator": True}
        return Access(way="the emulator", who="`devstoreaccount1`", endpoint=port, config=config)
    named = connection.get("AccountName") or _first(environment, _ACCOUNTS)
    account = url.account or named
    if not account:
        raise SettingError(
            f"`{url}` names no storage account",
            hint="`export AZURE_STORAGE_ACCOUNT=...`, or write "
            f"`abfs://{url.bucket}@ACCOUNT.dfs.core.windows.net/{url.key}`",
        )
    if not _ACCOUNT.fullmatch(account):
        raise SettingError(
            f"`{shown(account)}` is not the name of a storage account",
            hint="a name has 3 to 24 lowercase letters and digits: `az storage account list`",
        )
    # Keys in the environment are of the account that it names, and of no other.
    is_same = named in ("", account)
    endpoint = _blob_endpoint(connection, account) if is_same else ""
    for variable in ("AZURE_STORAGE_ENDPOINT", "AZURE_ENDPOINT"):
        endpoint = endpoint or environment.get(variable, "")
        endpoint = checked_url(endpoint, variable)
    if settings.is_anonymous(url) or environment.get("AZURE_SKIP_SIGNATURE", "").lower() == "true":
        skip = {"skip_signature": True}
        found = Access(way="anonymous", who="nobody", is_anonymous=True, config=skip)
    else:
        found = (
            (_shared(environment, connection, account) if is_same else None)
            or _application(environment)
            or _managed(environment)
            or _cli(environment)
            or _none(url)
        )
    more: dict[str, Any] = {"account_name": account}
    if endpoint:
        more["endpoint"] = endpoint
    return Access(
        way=found.way,
        who=found.who,
        endpoint=endpoint,
        is_anonymous=found.is_anonymous,
        config={**found.config, **more},
    )


def _first(environment: Mapping[str, str], names: tuple[str, ...]) -> str:
    return next((environment[name] for name in names if environment.get(name)), "")


def _connection(environment: Mapping[str, str]) -> dict[str, str]:
    text = environment.get(_CONNECTION, "")
    pairs = [part.partition("=") for part in text.split(";") if part.strip()]
    if any(not equals for _, equals, _ in pairs):
        raise SettingError(
            f"`{_CONNECTION}` is not a connection string, expected `NAME=VALUE;NAME=VALUE`",
            hint="print it: `az storage account show-connection-string --name ACCOUNT -o tsv`",
        )
    return {name.strip(): value.strip() for name, _, value in pairs}


def _blob_endpoint(connection: Mapping[str, str], account: str) -> str:
    found = connection.get("BlobEndpoint", "")
    if not found and (suffix := connection.get("EndpointSuffix")):
        found = f"{connection.get('DefaultEndpointsProtocol', 'https')}://{account}.blob.{suffix}"
    return checked_url(found, f"the endpoint in {_CONNECTION}")


def _shared(
    environment: Mapping[str, str], connection: Mapping[str, str], account: str
) -> Access | None:
    """Return access by a key or a signature, of the connection string or of variables."""
    for way, key, token in (
        (
            f"`{_CONNECTION}`",
            connection.get("AccountKey", ""),
            connection.get("SharedAccessSignature", ""),
        ),
        ("the environment", _first(environment, _KEYS), _first(environment, _TOKENS)),
    ):
        if key:
            config = {"account_key": key, "credential_type": "access_key"}
            return Access(way=way, who=f"the key of account `{account}`", config=config)
        if token:
            config = {"sas_key": token.lstrip("?"), "credential_type": "sas_token"}
            return Access(way=way, who="a shared access signature", config=config)
    return None


def _application(environment: Mapping[str, str]) -> Access | None:
    client, tenant = (environment.get(name) for name in ("AZURE_CLIENT_ID", "AZURE_TENANT_ID"))
    if not client or not tenant:
        return None
    # The library also takes an empty variable for a host.
    host = environment.get("AZURE_AUTHORITY_HOST") or _AUTHORITY
    host = host if "://" in host else f"https://{host}"
    config: dict[str, Any] = {
        "client_id": client,
        "tenant_id": tenant,
        "authority_host": checked_url(host, "AZURE_AUTHORITY_HOST"),
    }
    who = f"application `{shown(client)}`"
    if secret := environment.get("AZURE_CLIENT_SECRET"):
        config |= {"client_secret": secret, "credential_type": "client_secret"}
        return Access(way="a client secret", who=who, config=config)
    if file := environment.get("AZURE_FEDERATED_TOKEN_FILE"):
        named_file(environment, "AZURE_FEDERATED_TOKEN_FILE")
        config |= {"federated_token_file": file, "credential_type": "workload_identity"}
        return Access(way="a workload identity", who=who, config=config)
    return None


def _managed(environment: Mapping[str, str]) -> Access | None:
    config: dict[str, Any] = {"credential_type": "managed_identity"}
    client = environment.get("AZURE_CLIENT_ID")
    if client:
        config["client_id"] = client
    who = (
        f"managed identity `{shown(client)}`" if client else "the managed identity of this machine"
    )
    for name in _MANAGED:
        if environment.get(name):
            config["msi_endpoint"] = checked_url(environment[name], name)
            return Access(way="a managed identity", who=who, config=config)
    host = checked_url(environment.get(_POD, ""), _POD) or _INSTANCE
    path = f"{_IDENTITY}&client_id={quote(client)}" if client else _IDENTITY
    if access.ask(host, path, headers={"Metadata": "true"}) is None:
        return None
    config["msi_endpoint"] = f"{host}{_IDENTITY.partition('?')[0]}"
    return Access(way="a managed identity", who=who, config=config)


def _cli(environment: Mapping[str, str]) -> Access | None:
    if shutil.which("az", path=environment.get("PATH")) is None:
        return None
    folder = environment.get("AZURE_CONFIG_DIR") or str(Path(environment.get("HOME", ""), ".azure"))
    try:
        text = Path(folder, "azureProfile.json").read_text(encoding="utf-8-sig")
        profiles = json.loads(text)["subscriptions"]
        user = next(one["user"]["name"] for one in profiles if one.get("isDefault"))
    except (OSError, ValueError, KeyError, TypeError, StopIteration):
        return None
    config = {"use_azure_cli": True, "credential_type": "azure_cli"}
    return Access(way="the Azure CLI", who=f"`{user}`", config=config)


def _none(url: BucketUrl) -> Access:
    raise BucketError(
        Failure.DENIED,
        "no credentials of Azure were found",
        hint="log in: `az login`, or set `AZURE_STORAGE_KEY` or `AZURE_STORAGE_SAS_TOKEN`; if the"
        f" container is public, `export GEOBATCH_BUCKET_ANONYMOUS={url.scheme}://{url.bucket}`",
    )
