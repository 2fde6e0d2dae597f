import pytest
import torch
from step_case import step_of
from torch import Tensor

from distal.losses.regularizers.consistency import NEIGHBOURHOOD, bcr, zcr_d, zcr_g

X = torch.randn(6, 1, 2, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def total(x: Tensor) -> Tensor:
    return x.flatten(1).sum(1)


class Twice:
    """G(z) = 2 z as an image of one pixel a latent."""

    def __call__(self, z: Tensor, y: Tensor) -> Tensor:
        return 2 * z[:, :, None, None]


def test_bcr_compares_logits_of_images_with_those_of_their_augmented_twins() -> None:
    # The step's augmentation adds 1 to each of 4 pixels, so every logit grows by 4: 16 for real and for generated rows.
    assert bcr(step_of(total, X)).item() == pytest.approx(2 * 16)


def test_latents_and_their_neighbours_are_judged_alike_and_look_apart() -> None:
    z = torch.tensor([[1.0], [2.0]], dtype=torch.float64)
    u = torch.tensor([[0.8413447], [0.5]])  # one deviation, and none
    x = torch.cat([torch.zeros(2, 1, 1, 1, dtype=torch.float64), 2 * z[:, :, None, None]])
    squares = torch.tensor([(2 * NEIGHBOURHOOD) ** 2, 0.0]).mean().item()
    # Normal numbers are float32, and the step between two logits is a hundredth of them: 1e-3.
    assert zcr_d(step_of(total, x, u, G=Twice(), latents=z)).item() == pytest.approx(squares, rel=1e-3)
    assert zcr_g(step_of(total, x, u, "G", Twice(), z)).item() == pytest.approx(-squares, rel=1e-3)
