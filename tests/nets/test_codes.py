"""The mixture that drawn latents are brought to: its law, its shares, and what has no mixture."""

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from distal.nets.codes import CodeMixture

MEAN = torch.tensor([[50.0, 0.0, -1.0], [-50.0, 3.0, 2.0], [0.0, 90.0, 0.0], [9.0, 9.0, 9.0]])
DEVIATION = torch.tensor([[0.5, 1.0, 0.1], [2.0, 0.3, 1.0], [1.0, 1.0, 1.0], [0.1, 0.2, 0.3]])
MIXTURE = CodeMixture(MEAN, DEVIATION, torch.tensor([3, 0, 1]))


def latents(n: int, z: int = 3) -> Tensor:
    return torch.from_numpy(np.random.default_rng(0).normal(size=(n, z)).astype(np.float32))


def of_class(k: int, n: int) -> Tensor:
    return torch.eye(3)[k].expand(n, 3)


def test_each_image_of_the_class_has_its_share_and_around_it_the_latents_are_normal() -> None:
    placed = MIXTURE(latents(6000), of_class(0, 6000))
    nearest = torch.cdist(placed, MEAN[:3]).argmin(1)
    assert stats.chisquare(torch.bincount(nearest, minlength=3).numpy()).pvalue > 0.01
    for i in range(3):
        noise = ((placed[nearest == i] - MEAN[i]) / DEVIATION[i]).numpy()
        for column in noise.T:
            assert stats.kstest(column, "norm").pvalue > 0.01
        assert np.abs(np.corrcoef(noise.T) - np.eye(3)).max() < 0.06


def test_of_one_image_the_latents_are_the_noise_itself() -> None:
    z = latents(50)
    torch.testing.assert_close(MIXTURE(z, of_class(2, 50)), MEAN[3] + DEVIATION[3] * z, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("y", [of_class(1, 9), torch.zeros(9, 3)], ids=["no labeled image", "classes are not shown"])
def test_what_has_no_mixture_stays_as_it_was_drawn(y: Tensor) -> None:
    assert torch.equal(MIXTURE(latents(9), y), latents(9))


def test_where_a_latent_goes_does_not_depend_on_the_others_nor_on_how_much_of_the_classes_is_shown() -> None:
    z = latents(8)
    whole = MIXTURE(z, of_class(0, 8))
    assert torch.equal(MIXTURE(z[3:5], 0.25 * of_class(0, 2)), whole[3:5])


@pytest.mark.parametrize("z", [[0.0, 0.0, 0.0], [-1.0, 0.0, 0.0], [-1.0, -0.0, 0.0], [1e-30, -1e-30, 5.0]])
def test_at_the_ends_of_the_circle_a_latent_still_goes_to_an_image_of_its_class(z: list[float]) -> None:
    placed = MIXTURE(torch.tensor([z]), of_class(0, 1))
    assert bool((((placed - MEAN[:3]) / DEVIATION[:3]).square().sum(1).sqrt() <= torch.tensor(z).norm() + 1e-3).any())
