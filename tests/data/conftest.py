"""Configure pools for the tests of distal.data."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from distal.config import PoolConfig


@pytest.fixture
def pool(tmp_path: Path) -> Callable[..., PoolConfig]:
    def configure(path: Any = None, **fields: Any) -> PoolConfig:
        shown = path if isinstance(path, list) else str(path or tmp_path)
        return PoolConfig(path=shown, **{"cache": str(tmp_path / "cache"), "block_rows": 16, **fields})

    return configure
