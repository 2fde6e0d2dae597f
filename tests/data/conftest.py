"""Configure pools for the tests of distal.data."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from distal.config import PoolConfig

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"


@pytest.fixture
def pool(tmp_path: Path) -> Callable[..., PoolConfig]:
    def configure(path: Any = None, **fields: Any) -> PoolConfig:
        shown = path if isinstance(path, list) else str(path or tmp_path)
        return PoolConfig(path=shown, **{"cache": str(tmp_path / "cache"), "block_rows": 16, **fields})

    return configure


@pytest.fixture
def shared_data() -> Path:
    if not SHARED.is_dir():
        pytest.skip("../shared/data is not there: these tests read real images from it")
    return SHARED
