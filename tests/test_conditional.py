"""The store of conditional writes is opened where pyarrow's file system is, with the same keys."""

import sys

import pyarrow.fs
import pytest

from distal.errors import StorageError
from distal.run.conditional import COMPARES_AND_SWAPS, conditional_cell
from distal.run.directory import RunDirectory
from distal.run.files import ObjectFiles


@pytest.fixture(autouse=True)
def environment(monkeypatch, tmp_path):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


def cell(uri):
    filesystem, prefix = pyarrow.fs.FileSystem.from_uri(uri)
    return conditional_cell(uri, ObjectFiles(filesystem, f"{prefix}/r", "shown"), ".lock-driver")


def test_a_uris_bucket_path_keys_and_endpoint_reach_the_store():
    opened = cell("s3://me:se%2Fcret@bucket/runs?endpoint_override=127.0.0.1:9&scheme=http&region=eu-west-1")
    assert opened._path == "runs/r/.lock-driver"
    assert opened._store.config == {
        "bucket": "bucket",
        "region": "eu-west-1",
        "access_key_id": "me",
        "secret_access_key": "se/cret",
        "endpoint": "http://127.0.0.1:9",
    }
    assert opened._store.client_options["allow_http"]


def test_keys_come_from_the_profile_where_neither_uri_nor_environment_has_them(tmp_path, monkeypatch):
    (tmp_path / "credentials").write_text("[work]\naws_access_key_id = a\naws_secret_access_key = b%c\n")
    uri = "s3://bucket/runs?endpoint_override=127.0.0.1:9&region=x"
    assert "access_key_id" not in cell(uri)._store.config
    monkeypatch.setenv("AWS_PROFILE", "work")
    assert cell(uri)._store.config["access_key_id"] == "a"
    assert cell(uri)._store.config["secret_access_key"] == "b%c"
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "from the environment")
    with pytest.raises(StorageError, match=r"cannot open shown: .*Missing"):
        cell(uri)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "too")
    assert "access_key_id" not in cell(uri)._store.config


def test_a_google_uri_opens_a_google_store():
    opened = cell("gs://anonymous@bucket/runs?endpoint_override=127.0.0.1:9&scheme=http&retry_limit_seconds=1")
    assert type(opened._store).__name__ == "GCSStore"
    assert opened._path == "runs/r/.lock-driver"
    assert opened._store.config["base_url"] == "http://127.0.0.1:9"


@pytest.mark.parametrize("scheme", COMPARES_AND_SWAPS)
def test_a_missing_obstore_is_named_with_what_to_install_before_anything_is_written(monkeypatch, scheme):
    monkeypatch.setitem(sys.modules, "obstore", None)
    extra = "&retry_limit_seconds=1" if scheme != "s3" else ""
    run = RunDirectory.open(f"{scheme}://bucket/runs?endpoint_override=127.0.0.1:9{extra}", "r")
    with pytest.raises(StorageError, match=r"needs the package obstore.*\n.*pip install obstore") as caught:
        run.lock().__enter__()
    assert str(caught.value).count("\n") <= 2
