"""Compare and swap one object of S3 or Google Cloud Storage: conditional writes, which pyarrow's file systems lack.

`obstore` sends them (If-None-Match, If-Match, x-goog-if-generation-match). The store is opened from the URI that
pyarrow is given, with the same options; credentials come from the URI, else from the environment (AWS_ACCESS_KEY_ID and
its kin, GOOGLE_APPLICATION_CREDENTIALS), else from ~/.aws/credentials, else from the machine's or the pod's role.
"""

import configparser
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from distal.errors import StorageAwayError, StorageError
from distal.run.files import ObjectFiles, denied

COMPARES_AND_SWAPS = ("s3", "gs", "gcs")
"""Schemes of URIs whose stores write on condition."""
RELEASED = b"{}"
"""What stands in a lock's object that nobody holds: no service deletes on condition as widely as it writes."""
PATIENCE = timedelta(seconds=10)
RETRIES = 8

Version = dict[str, str]


class ConditionalCell:
    """Be an object that is replaced only while it has the version that was read."""

    def __init__(self, store: Any, path: str, shown: str) -> None:
        self._store = store
        self._path = path
        self._shown = shown

    def read(self) -> tuple[bytes, Version] | None:
        """Return the object's bytes and its version; None where there is no such object."""
        import obstore

        with _explained("read", self._shown):
            try:
                found = obstore.get(self._store, self._path)
                return bytes(found.bytes()), _version(found.meta)
            except FileNotFoundError:
                return None

    def replace(self, data: bytes, expected: Version | None) -> Version | None:
        """Write if the version is still the expected one (None: no such object); None where it is not."""
        import obstore
        from obstore.exceptions import AlreadyExistsError, PreconditionError

        with _explained("write", self._shown):
            try:
                return _version(obstore.put(self._store, self._path, data, mode=expected or "create"))
            except (AlreadyExistsError, PreconditionError):
                pass
        # Where the reply to a first attempt was lost, the client's second one is refused by the first.
        found = self.read()
        return found[1] if found is not None and found[0] == data else None

    def clear(self, expected: Version) -> None:
        """Say in the object that nobody holds it, if the version is still the expected one."""
        self.replace(RELEASED, expected)


def conditional_cell(storage: str, files: ObjectFiles, path: str) -> ConditionalCell:
    """Open the object at a path of a run directory.

    Args:
        storage: the URI that pyarrow was given, options and credentials in it. files: what pyarrow opened there.

    Raises:
        StorageError: the package for it is not installed.
    """
    try:
        import obstore  # noqa: F401
    except ImportError:
        raise StorageError(
            f"storage {files.shown} needs the package obstore, whose conditional writes let one driver at a time in\n"
            "install it: pip install obstore"
        ) from None
    uri = urlsplit(storage)
    options = dict(parse_qsl(uri.query))
    bucket, _, key = f"{files.root}/{path}".partition("/")
    open_store = _open_s3 if uri.scheme == "s3" else _open_gcs
    with _explained("open", files.shown):
        store = open_store(bucket, uri, options, files.filesystem)
    return ConditionalCell(store, key, f"{files.shown}/{path}")


def _open_s3(bucket: str, uri: SplitResult, options: Mapping[str, str], filesystem: Any) -> Any:
    from obstore.store import S3Store

    config: dict[str, Any] = {"region": filesystem.region, **_aws_keys(uri)}
    endpoint = options.get("endpoint_override", "")
    if endpoint:
        endpoint = endpoint if "://" in endpoint else f"{options.get('scheme', 'https')}://{endpoint}"
        config["endpoint"] = endpoint
    else:
        endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or ""
    client = _client(endpoint)
    if options.get("tls_verify_certificates", "").lower() in ("false", "0"):
        client["allow_invalid_certificates"] = True
    return S3Store(bucket, config=config, client_options=client, retry_config=_retries())


def _open_gcs(bucket: str, uri: SplitResult, options: Mapping[str, str], filesystem: Any) -> Any:
    from obstore.store import GCSStore

    config: dict[str, Any] = {"skip_signature": True} if uri.username == "anonymous" else {}
    endpoint = options.get("endpoint_override", "")
    if endpoint:
        endpoint = config["base_url"] = f"{options.get('scheme', 'https')}://{endpoint}"
    return GCSStore(bucket, config=config, client_options=_client(endpoint), retry_config=_retries())


def _client(endpoint: str) -> dict[str, Any]:
    return {"timeout": PATIENCE, "connect_timeout": PATIENCE / 2, "allow_http": endpoint.startswith("http://")}


def _retries() -> Any:
    return {"max_retries": RETRIES, "retry_timeout": PATIENCE}


def _aws_keys(uri: SplitResult) -> dict[str, str]:
    """Return the keys of the URI or of the shared credentials file; none where the client finds them by itself."""
    if uri.username and uri.password:
        return {"access_key_id": unquote(uri.username), "secret_access_key": unquote(uri.password)}
    if os.environ.get("AWS_ACCESS_KEY_ID"):
        return {}
    shared = configparser.RawConfigParser()
    try:
        shared.read(Path(os.environ.get("AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials")).expanduser())
        profile = shared[os.environ.get("AWS_PROFILE", "default")]
        names = ("access_key_id", "secret_access_key", "session_token")
        return {name: profile[f"aws_{name}"] for name in names if f"aws_{name}" in profile}
    except (KeyError, configparser.Error, OSError, UnicodeDecodeError):
        return {}


def _version(meta: Mapping[str, Any]) -> Version:
    return {name: meta[name] for name in ("e_tag", "version") if meta.get(name) is not None}


@contextmanager
def _explained(verb: str, where: str) -> Iterator[None]:
    """Turn an error of obstore into a StorageError of at most two lines."""
    from obstore.exceptions import BaseError, GenericError, PermissionDeniedError, UnauthenticatedError

    try:
        yield
    except (PermissionDeniedError, UnauthenticatedError) as error:
        raise denied(verb, where, _reason(error)) from error
    except (BaseError, FileNotFoundError, ValueError, OSError) as error:
        kind = StorageAwayError if isinstance(error, GenericError) else StorageError
        raise kind(
            f"cannot {verb} {where}: {_reason(error)}\n"
            "check that the storage can be reached; the same command then continues"
        ) from error


def _reason(error: BaseException) -> str:
    """Return what the service said, or the first line of what its client did."""
    text = str(error)
    said = re.search(r"<Code>(.*?)</Code>\s*<Message>(.*?)</Message>", text, re.DOTALL)
    short = f"{said[2]} ({said[1]})" if said else (text.splitlines() or [type(error).__name__])[0]
    return " ".join(short.split())[:250]
