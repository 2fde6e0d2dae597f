from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from training_case import config, labeled_rows

from distal.communicator import Alone
from distal.errors import ConfigError
from distal.train.batch import draw_batch
from distal.train.descent import descend, set_rate
from distal.train.optimizers import OPTIMIZERS, build_optimizer


def line(start: float = 1.0) -> tuple[nn.Linear, torch.optim.Optimizer]:
    module = nn.Linear(1, 1, bias=False)
    nn.init.constant_(module.weight, start)
    return module, torch.optim.SGD(module.parameters(), lr=1.0)


def pulled(module: nn.Linear, slope: float) -> tuple[Tensor, dict[str, Tensor]]:
    loss = slope * module.weight.sum()
    return loss, {"d": loss}


def test_the_gradients_and_terms_of_pieces_are_averaged() -> None:
    module, optimizer = line()
    terms = descend(module, optimizer, [lambda: pulled(module, 2.0), lambda: pulled(module, 4.0)], Alone())
    assert terms["d"].item() == 3.0
    assert module.weight.item() == 1.0 - 3.0


def test_a_gradient_is_made_no_longer_than_the_bound() -> None:
    module, optimizer = line()
    descend(module, optimizer, [lambda: pulled(module, 8.0)], Alone(), clip_norm=0.5)
    assert module.weight.item() == pytest.approx(0.5, abs=1e-6)
    descend(module, optimizer, [lambda: pulled(module, 0.25)], Alone(), clip_norm=0.5)
    assert module.weight.item() == pytest.approx(0.25, abs=1e-6), "a shorter one is left as it is"


def test_parameters_that_share_a_gradient_are_each_moved_by_it_once() -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Parameter(torch.zeros(3)), nn.Parameter(torch.zeros(3))

    module = Two()

    def piece() -> tuple[Tensor, dict[str, Tensor]]:
        loss = ((module.a + module.b) * torch.tensor([1.0, 2.0, 2.0])).sum()
        return loss, {"d": loss}

    descend(module, torch.optim.SGD(module.parameters(), lr=1.0), [piece, piece], Alone(), clip_norm=3.0)
    expected = -torch.tensor([1.0, 2.0, 2.0]) / 2**0.5  # both together are sqrt(2) times 3 long
    torch.testing.assert_close(module.a.detach(), expected, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(module.b.detach(), expected, rtol=1e-5, atol=1e-6)


def test_a_parameter_that_nothing_touches_has_gradient_zero_and_none_is_left_behind() -> None:
    module = nn.Linear(1, 1)
    seen = []

    class Listening(Alone):
        def sum_(self, tensors: Any) -> None:
            seen.extend(t.clone() for t in tensors)

    optimizer = torch.optim.SGD(module.parameters(), lr=1.0)
    descend(module, optimizer, [lambda: pulled(module, 2.0)], Listening())
    assert [t.flatten().tolist() for t in seen[:2]] == [[2.0], [0.0]]
    assert all(p.grad is None for p in module.parameters())


def test_the_rate_is_the_configured_one_times_what_the_schedule_says() -> None:
    module, optimizer = line()
    set_rate(optimizer, 0.8, config(warmup_steps=3), step=1)
    descend(module, optimizer, [lambda: pulled(module, 1.0)], Alone())
    assert module.weight.item() == pytest.approx(1.0 - 0.4)


@pytest.mark.parametrize(("name", "expected"), [("sgd", 1 - 0.1 * 0.5), ("adamw", 1 - 0.1 * 0.5)])
def test_weight_decay_shrinks_a_weight_that_nothing_pulls(name: str, expected: float) -> None:
    module, _ = line()
    optimizer = build_optimizer(name, module.parameters(), 0.1, 0.0, weight_decay=0.5)
    descend(module, optimizer, [lambda: pulled(module, 0.0)], Alone())
    assert module.weight.item() == pytest.approx(expected, abs=1e-6)


def test_an_optimizer_without_weight_decay_refuses_one(monkeypatch: pytest.MonkeyPatch) -> None:
    module, _ = line()
    monkeypatch.setitem(OPTIMIZERS.entries, "rprop", lambda p, rate, momentum: torch.optim.Rprop(p, lr=rate))
    with pytest.raises(ConfigError, match=r"train\.weight_decay: the optimizer rprop knows none"):
        build_optimizer("rprop", module.parameters(), 0.1, 0.0, weight_decay=0.5)


def test_a_batch_of_full_labels_holds_each_labeled_row_once_and_as_many_others_as_before() -> None:
    rows = labeled_rows(9, balance=0.0)
    shape = (64, 2, 0, 1, torch.device("cpu"), torch.contiguous_format)
    batch = draw_batch(rows, 3, 12, 0.25, *shape, full_labels=True)
    plain = draw_batch(rows, 3, 12, 0.25, *shape)
    assert (batch.labeled_total, plain.labeled_total) == (9, 3)
    assert len(batch.images) - 9 == len(plain.images) - 3 == 9
    assert np.array_equal(np.sort(rows.labeled(3, 9)[0]), np.arange(9))
