from collections.abc import Iterator

import pytest
import torch
from frozen_fake import SIDE, Tiny, added
from torch import Tensor

from distal.config import NetConfig
from distal.nets import Discriminator, build_discriminator, build_generator
from distal.nets.frozen import FROZEN, placed
from distal.nets.projected import ProjectedDiscriminator, spectral


@pytest.fixture(autouse=True)
def tiny() -> Iterator[Tiny]:
    with added() as network:
        yield network


def net(**changes: object) -> NetConfig:
    sizes = {"name": "projected", "backbone": "tiny", "width": 4, "latent_dim": 5, "features": 8}
    return NetConfig.model_validate(sizes | changes)


def judge(size: int = 32, seed: int = 0, **changes: object) -> ProjectedDiscriminator:
    D = build_discriminator(net(**changes), size, 1, 3, seed)
    assert isinstance(D, ProjectedDiscriminator)
    return D.eval()


def images(n: int = 3, size: int = 32) -> Tensor:
    return torch.rand(n, 1, size, size, generator=torch.Generator().manual_seed(0)) * 2 - 1


@pytest.mark.parametrize("size", [8, 32, 64, 256])
@pytest.mark.parametrize("channels", [1, 3])
def test_shapes_are_as_documented_at_every_size(size: int, channels: int) -> None:
    G, D = build_generator(net(), size, channels, 4), build_discriminator(net(), size, channels, 4)
    y = torch.eye(4)[:3]
    made = G(torch.randn(3, 5), y)
    logits, class_logits, features = D(made, y)
    assert made.shape == (3, channels, size, size)
    assert made.abs().max() <= 1
    assert (logits.shape, class_logits.shape) == ((3,), (3, 4))
    assert features.shape == (3, 2 * 8 + 4 + 6), "a head of 8 units a map, then the means of 4 and 6 channels"


def test_no_layer_of_the_discriminator_mixes_the_images_of_a_batch() -> None:
    D, x, y = judge(), images(), torch.eye(3)
    for whole, alone in zip(D(x, y), D(x[:1], y[:1]), strict=True):
        torch.testing.assert_close(whole[:1], alone, rtol=1e-5, atol=1e-5)


def test_small_images_are_enlarged_to_the_side_that_the_frozen_network_wants_and_large_ones_are_not_touched(
    tiny: Tiny,
) -> None:
    for size in (8, 64):
        judge(size).features(images(2, size))
    assert tiny.saw == [(2, 1, SIDE, SIDE), (2, 1, 64, 64)]


def test_frozen_weights_are_not_the_discriminators_and_the_gradient_passes_through_them(tiny: Tiny) -> None:
    D, x = judge(), images().requires_grad_()
    D(x, torch.eye(3))[0].sum().backward()
    assert x.grad is not None
    assert x.grad.abs().sum() > 0
    assert all(p.grad is None and not p.requires_grad for p in tiny.parameters())
    own = {id(p) for p in D.parameters()}
    assert not own & {id(p) for p in tiny.parameters()}
    assert not any("trunk.frozen" in key or "coarse" in key for key in D.state_dict())


def test_random_projections_are_of_the_seed_saved_and_never_trained() -> None:
    a, same, other = judge(seed=5), judge(seed=5), judge(seed=6)
    key = "trunk.heads.0.projection"
    assert torch.equal(a.state_dict()[key], same.state_dict()[key])
    assert not torch.equal(a.state_dict()[key], other.state_dict()[key])
    assert key not in dict(a.named_parameters())


def test_power_iteration_comes_to_the_spectral_norm_and_stands_still_outside_training() -> None:
    weight = torch.randn(6, 2, 3, 3, generator=torch.Generator().manual_seed(0))
    u = torch.nn.functional.normalize(torch.ones(6), dim=0)
    first = u.clone()
    spectral(weight, u, training=False)
    assert torch.equal(u, first)
    for _ in range(200):
        normed = spectral(weight, u, training=True)
    assert float(torch.linalg.matrix_norm(normed.flatten(1), 2)) == pytest.approx(1.0, abs=1e-4)


def test_the_classifier_learns_from_frozen_features_alone() -> None:
    D = judge()
    D.classify(D.features(images())).sum().backward()
    assert D.head.weight.grad is not None
    assert all(p.grad is None or not p.grad.any() for p in D.trunk.parameters())


def test_a_class_weighs_in_the_logit_as_configured_and_little_by_default() -> None:
    def difference(D: Discriminator) -> Tensor:
        x = images(1)
        return D(x, torch.eye(3)[:1])[0] - D(x, torch.eye(3)[1:2])[0]

    whole = difference(judge(class_judged=1.0))
    assert whole != 0
    torch.testing.assert_close(difference(judge()), 0.3 * whole)
    assert difference(judge(class_judged=0.0)) == 0


def test_a_class_weighs_against_the_noise_as_configured_and_as_much_by_default() -> None:
    z, y = torch.randn(2, 5, generator=torch.Generator().manual_seed(0)), torch.eye(3)[:2]
    scales: tuple[dict[str, float], ...] = ({}, {"class_scale": 0.25}, {"class_scale": 1.0})
    scaled, quarter, whole = (build_generator(net(**scale), 32, 1, 3).eval() for scale in scales)
    assert torch.equal(scaled(z, y), whole(z, y))
    assert not torch.equal(whole(z, y), quarter(z, y))
    torch.testing.assert_close(whole(z, 0.25 * y), quarter(z, y))


def test_the_frozen_network_of_the_wheel_has_the_maps_that_are_declared() -> None:
    frozen = FROZEN.find("efficientnet_lite0")
    x = images(1, frozen.side)
    maps = placed(frozen, torch.device("cpu"))(x)
    sides = [frozen.side // stride for stride in (4, 8, 16, 32)]
    assert [m.shape for m in maps] == [(1, c, s, s) for c, s in zip(frozen.channels, sides, strict=True)]
    assert placed(frozen, torch.device("cpu")) is placed(frozen, torch.device("cpu")), "one copy a process"
