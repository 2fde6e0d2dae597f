"""What the system tests share: the files of a run that nothing disturbed, and an S3 server."""

from collections.abc import Iterator
from typing import Any

import pytest
from buckets import S3Server, serving
from crash_driver import LabelFunction
from two_rounds import final_files, tree

from distal import ActiveLearner


@pytest.fixture(scope="session")
def unbroken(local_ray: None, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Run without any disturbance, with no training workers, and return the files."""
    storage = tmp_path_factory.mktemp("unbroken")
    ActiveLearner(tree(storage), oracle=LabelFunction(storage / "asked")).run()
    return final_files(storage)


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    """Serve S3 on this machine for all tests of the session."""
    with serving() as server:
        yield server


@pytest.fixture
def s3(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> S3Server:
    """Let pyarrow and obstore find the server by the environment."""
    for name, value in s3_server.environment.items():
        monkeypatch.setenv(name, value)
    return s3_server
