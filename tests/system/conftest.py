"""What the system tests share: the files of a run that nothing disturbed."""

from typing import Any

import pytest
from crash_driver import LabelFunction
from two_rounds import final_files, tree

from distal import ActiveLearner


@pytest.fixture(scope="session")
def unbroken(local_ray: None, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Run without any disturbance, with no training workers, and return the files."""
    storage = tmp_path_factory.mktemp("unbroken")
    ActiveLearner(tree(storage), oracle=LabelFunction(storage / "asked")).run()
    return final_files(storage)
