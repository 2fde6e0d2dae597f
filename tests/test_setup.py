"""The images of an existing run are those that it had."""

import numpy as np
import pytest
from resolved_facts import RESOLVED

from distal.checkpoints import SavedRun
from distal.config import Config
from distal.driver.preparation import SavedImages
from distal.errors import PoolError


def test_a_pool_whose_files_were_replaced_gives_no_images() -> None:
    saved = SavedRun(Config(), {**RESOLVED, "fingerprint": "of other files"})
    with pytest.raises(PoolError, match="its files changed since this run began"):
        SavedImages(saved, saved.config).pixels(np.array([0]))
