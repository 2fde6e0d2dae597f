"""Give the tests of the oracles a pool, a run and a query."""

import numpy as np
import pytest

from distal.run.directory import RunDirectory
from distal.run.ledger import Ledger, Query


@pytest.fixture
def run(tmp_path):
    return RunDirectory.open(str(tmp_path), "r")


@pytest.fixture
def query(run):
    asked = Query(1, np.array([7, 3, 5, 12], dtype=np.int64), np.zeros(4, np.float32), "margin")
    Ledger(run).write_query(asked)
    return asked
