import numpy as np
import pytest
import torch

from distal.query import View


def build(row_ids, **kwargs):
    n = len(row_ids)
    return View(np.asarray(row_ids, dtype=np.int64), np.ones(n, bool), np.full(n, -1), 16, 0, 1, kwargs)


def test_a_view_starts_at_a_block_and_ascends():
    build([16, 17, 18])
    with pytest.raises(ValueError, match="start a block"):
        build([17, 18])
    with pytest.raises(ValueError, match="ascend"):
        build([16, 16])


def test_tensors_have_a_value_for_each_row():
    with pytest.raises(ValueError, match="probs has 2 rows"):
        build([0, 1, 2], probs=torch.zeros(2, 4))


def test_a_tensor_that_was_not_asked_for_is_named():
    with pytest.raises(ValueError, match="realism was not computed; name it"):
        build([0, 1]).need("realism")
    with pytest.raises(ValueError, match=r"prob was not computed.*did you mean 'probs'"):
        build([0, 1]).need("prob")
