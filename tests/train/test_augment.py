import pytest
import torch

from distal.errors import ConfigError
from distal.train.augment import AUGMENTATIONS, augment, draws

IMAGES = torch.rand(6, 3, 16, 16, generator=torch.Generator().manual_seed(0)) * 2 - 1
UNIFORMS = torch.rand(6, 2, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("name", sorted(AUGMENTATIONS))
def test_the_gradient_through_an_augmentation_agrees_with_finite_differences(name: str) -> None:
    a = AUGMENTATIONS.entries[name]
    x = IMAGES[:2, :1, :6, :6].double().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: a.function(x, UNIFORMS[:2, : a.draws].double()), (x,))


@pytest.mark.parametrize("name", sorted(AUGMENTATIONS))
def test_a_batch_cut_in_two_is_augmented_as_the_whole(name: str) -> None:
    a = AUGMENTATIONS.entries[name]
    u = UNIFORMS[:, : a.draws]
    halves = [a.function(IMAGES[s], u[s]) for s in (slice(0, 2), slice(2, 6))]
    # Sums of a few products in another order: a few float32 rounding units.
    torch.testing.assert_close(torch.cat(halves), a.function(IMAGES, u), rtol=0, atol=1e-6)


def test_translation_moves_whole_pixels_and_repeats_edges() -> None:
    ramp = torch.arange(16.0).expand(1, 1, 16, 16)
    moved = AUGMENTATIONS.entries["translation"].function(ramp, torch.tensor([[0.5, 0.99]]))
    assert torch.equal(moved[0, 0, 0], torch.clamp(torch.arange(16.0) + 2, max=15))


def test_translation_by_nothing_is_exact() -> None:
    still = AUGMENTATIONS.entries["translation"].function(IMAGES, torch.full((6, 2), 0.5))
    assert torch.equal(still, IMAGES)


def test_zoom_by_nothing_is_exact() -> None:
    torch.testing.assert_close(AUGMENTATIONS.entries["zoom"].function(IMAGES, torch.full((6, 2), 0.5)), IMAGES)


def test_several_augmentations_use_their_own_uniforms_in_order() -> None:
    chosen = [AUGMENTATIONS.find(name) for name in ("brightness", "flip")]
    u = torch.tensor([[0.75, 0.1]]).expand(6, 2)
    assert draws(chosen) == 2
    torch.testing.assert_close(augment(IMAGES, u, chosen), (IMAGES + 0.25).flip(3))


def test_an_unknown_augmentation_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(ConfigError, match="did you mean 'cutout'"):
        AUGMENTATIONS.find("cutuot")
