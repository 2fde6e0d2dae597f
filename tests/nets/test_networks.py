import pytest
import torch

from distal.config import NetConfig
from distal.errors import ConfigError
from distal.nets import build_discriminator, build_generator, get_network
from distal.nets.residual import level_channels

CASES = [("dense", 8), ("residual", 8), ("residual", 16), ("residual", 32), ("residual", 64)]


@pytest.mark.parametrize(("name", "size"), CASES)
@pytest.mark.parametrize("channels", [1, 3])
def test_shapes_are_as_documented(name: str, size: int, channels: int) -> None:
    net = NetConfig(name=name, width=8, latent_dim=5, features=12)
    G, D = build_generator(net, size, channels, 4), build_discriminator(net, size, channels, 4)
    y = torch.eye(4)[:3]
    images = G(torch.randn(3, 5), y)
    features = D.features(images)
    assert images.shape == (3, channels, size, size)
    assert images.abs().max() <= 1
    assert features.shape == (3, 12)
    assert D.logits(features, y).shape == (3,)
    assert D.classify(features).shape == (3, 4)


@pytest.mark.parametrize(("name", "size"), CASES[:3])
def test_no_layer_mixes_the_images_of_a_batch(name: str, size: int) -> None:
    net = NetConfig(name=name, width=8)
    G, D = build_generator(net, size, 1, 3), build_discriminator(net, size, 1, 3)
    z, y = torch.randn(4, 64, generator=torch.Generator().manual_seed(0)), torch.eye(3)[[0, 1, 2, 0]]
    alone = torch.cat([G(z[i : i + 1], y[i : i + 1]) for i in range(4)])
    # Kernels may block another batch size differently: a few rounding units, no more.
    torch.testing.assert_close(G(z, y), alone, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(D(alone, y)[0][:1], D(alone[:1], y[:1])[0], rtol=1e-5, atol=1e-5)


def test_auto_is_dense_at_8_pixels_and_residual_above() -> None:
    assert get_network("auto", 8) is get_network("dense", 8)
    assert get_network("auto", 16) is get_network("residual", 16)


def test_an_unknown_network_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(ConfigError, match="did you mean 'residual'"):
        get_network("residul", 32)


def test_first_weights_depend_on_the_seed_alone() -> None:
    net = NetConfig(width=8)
    torch.manual_seed(1)
    a = build_generator(net, 16, 1, 3, seed=5).state_dict()
    torch.manual_seed(2)
    before = torch.random.get_rng_state()
    b = build_generator(net, 16, 1, 3, seed=5).state_dict()
    c = build_generator(net, 16, 1, 3, seed=6).state_dict()
    assert torch.equal(before, torch.random.get_rng_state())
    assert all(torch.equal(a[k], b[k]) for k in a)
    assert not torch.equal(a["body.first.weight"], c["body.first.weight"])


def test_every_level_doubles_its_channels_as_its_side_halves() -> None:
    assert [level_channels(32, side) for side in (64, 32, 16, 8, 4)] == [16, 16, 32, 64, 128]
    assert level_channels(4, 64) == 4


def test_the_projection_logit_is_psi_plus_the_inner_product_with_the_class_vector() -> None:
    D = build_discriminator(NetConfig(name="dense", width=8, features=6), 8, 1, 3, seed=1)
    phi = torch.randn(2, 6, generator=torch.Generator().manual_seed(3))
    y = torch.tensor([[0.0, 1.0, 0.0], [0.5, 0.25, 0.25]])
    V = D.projection.weight.T  # [K, F]
    expected = phi @ D.psi.weight[0] + D.psi.bias + torch.stack([V[1] @ phi[0], (y[1] @ V) @ phi[1]])
    torch.testing.assert_close(D.logits(phi, y), expected)
