import threading
from collections.abc import Sequence
from typing import ClassVar

import pytest
import torch
from torch import Tensor, nn

from distal.communicator import Alone
from distal.nets.batchnorm import GlobalBatchNorm, connect, globalized
from distal.nets.weights import initialised


def make(seed: int) -> nn.Sequential:
    def build() -> nn.Sequential:
        return nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.ConvTranspose2d(3, 4, 3), nn.BatchNorm2d(4))

    return initialised(build, seed, "net")


def test_layers_of_any_kind_start_as_they_say_and_as_the_seed_says() -> None:
    torch.manual_seed(1)
    a, same, other = make(5).state_dict(), make(5).state_dict(), make(6).state_dict()
    assert all(torch.equal(a[key], same[key]) for key in a)
    assert torch.equal(a["1.weight"], torch.ones(3))
    assert torch.equal(a["1.running_var"], torch.ones(3))
    # ConvTranspose2d's own rule: uniform within 1 / sqrt(4 x 9).
    assert 0.9 / 6 < a["2.weight"].abs().max() <= 1 / 6
    assert not torch.equal(a["2.weight"], other["2.weight"])


class Threads(Alone):
    """Be one of two ranks that are threads: each waits for the other and both have the sum."""

    size = 2
    meet = threading.Barrier(2)
    shared: ClassVar[dict[int, list[Tensor]]] = {}

    def __init__(self, rank: int) -> None:
        super().__init__()
        self.rank = rank

    def sum_(self, tensors: Sequence[Tensor]) -> None:
        self.shared[self.rank] = [t.clone() for t in tensors]
        self.meet.wait(timeout=30)
        totals = [a + b for a, b in zip(self.shared[0], self.shared[1], strict=True)]
        self.meet.wait(timeout=30)
        for tensor, total in zip(tensors, totals, strict=True):
            tensor.copy_(total)


def test_two_ranks_normalize_as_torch_does_alone_and_so_do_their_gradients() -> None:
    x = torch.randn(7, 3, 2, 2, generator=torch.Generator().manual_seed(0))
    weight = torch.randn(x.shape, generator=torch.Generator().manual_seed(1))
    plain, whole = nn.BatchNorm2d(3), x.clone().requires_grad_()
    expected = plain(whole)
    (expected * weight).sum().backward()
    parts = [x[:3].clone().requires_grad_(), x[3:].clone().requires_grad_()]
    layers = [GlobalBatchNorm(3), GlobalBatchNorm(3)]
    results: dict[int, Tensor] = {}

    def work(rank: int) -> None:
        connect(layers[rank], Threads(rank))
        results[rank] = layers[rank](parts[rank])
        (results[rank] * (weight[:3] if rank == 0 else weight[3:])).sum().backward()

    threads = [threading.Thread(target=work, args=(rank,)) for rank in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # float32 sums in another order: a few rounding units.
    torch.testing.assert_close(torch.cat([results[0], results[1]]), expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(torch.cat([p.grad for p in parts]), whole.grad, rtol=1e-4, atol=1e-5)
    for layer in layers:
        torch.testing.assert_close(layer.running_mean, plain.running_mean)
        torch.testing.assert_close(layer.running_var, plain.running_var)


@pytest.mark.parametrize("training", [True, False])
def test_alone_it_is_torchs_own_to_the_bit(training: bool) -> None:
    x = torch.randn(6, 4, generator=torch.Generator().manual_seed(0))
    net = nn.Sequential(nn.BatchNorm1d(4)).train(training)
    expected = net(x)
    ours = nn.Sequential(nn.BatchNorm1d(4)).train(training)
    globalized(ours)
    assert isinstance(ours[0], GlobalBatchNorm)
    ours.train(training)
    assert torch.equal(ours(x), expected)
