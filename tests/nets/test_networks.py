import pytest
import torch

from distal.config import NetConfig
from distal.errors import ConfigError
from distal.nets import build_discriminator, build_generator, get_network, without_frozen
from distal.nets.levels import level_channels, level_sides

CASES = [("dense", 8), ("residual", 8), ("residual", 16), ("residual", 28)]
MORE = [("residual", 64), ("residual", 256), ("dcgan", 8), ("dcgan", 28), ("dcgan", 32), ("dcgan", 64)]


@pytest.mark.parametrize(("name", "size"), [*CASES, *MORE])
@pytest.mark.parametrize("channels", [1, 3])
def test_shapes_are_as_documented(name: str, size: int, channels: int) -> None:
    net = NetConfig(name=name, width=4 if size > 64 else 8, latent_dim=5, features=12)
    G, D = build_generator(net, size, channels, 4), build_discriminator(net, size, channels, 4)
    y = torch.eye(4)[:3]
    images = G(torch.randn(3, 5), y)
    features = D.features(images)
    assert images.shape == (3, channels, size, size)
    assert images.abs().max() <= 1
    assert features.shape == (3, 12)
    assert D.logits(features, y).shape == (3,)
    assert D.classify(features).shape == (3, 4)


@pytest.mark.parametrize(("name", "size"), CASES)
def test_no_layer_mixes_the_images_of_a_batch(name: str, size: int) -> None:
    net = NetConfig(name=name, width=8)
    G, D = build_generator(net, size, 1, 3), build_discriminator(net, size, 1, 3)
    z, y = torch.randn(4, 64, generator=torch.Generator().manual_seed(0)), torch.eye(3)[[0, 1, 2, 0]]
    alone = torch.cat([G(z[i : i + 1], y[i : i + 1]) for i in range(4)])
    # Kernels may block another batch size differently: a few rounding units, no more.
    torch.testing.assert_close(G(z, y), alone, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(D(alone, y)[0][:1], D(alone[:1], y[:1])[0], rtol=1e-5, atol=1e-5)


def test_auto_is_dense_at_8_pixels_residual_above_and_projected_for_photographs() -> None:
    assert get_network("auto", 8) is get_network("dense", 8)
    assert get_network("auto", 16) is get_network("auto", 63) is get_network("residual", 32)
    assert get_network("auto", 64) is get_network("projected", 64)


def test_a_model_that_needs_every_pixel_takes_no_frozen_network_unless_it_is_named() -> None:
    assert without_frozen(NetConfig(), 64).name == "residual"
    assert without_frozen(NetConfig(), 8).name == "auto"
    assert without_frozen(NetConfig(name="projected"), 64).name == "projected"


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


def test_the_levels_of_28_pixels_are_7_14_and_28_with_the_channels_of_8_16_and_32() -> None:
    assert level_sides(28) == [7, 14, 28]
    assert [level_channels(32, side) for side in level_sides(28)] == [level_channels(32, s) for s in (8, 16, 32)]
    assert [level_sides(side)[0] for side in (8, 16, 32, 64, 128, 256)] == [4] * 6


def test_dcgan_at_64_pixels_has_the_channels_and_the_first_weights_of_its_paper() -> None:
    net = NetConfig(name="dcgan", width=256, latent_dim=50)
    body = build_generator(net, 64, 3, 2).body
    assert [body.first_map, *(up.out_channels for up in body.ups)] == [(1024, 4, 4), 512, 256, 128]
    assert body.ups[0].weight.std().item() == pytest.approx(0.02, rel=0.01)


def test_dense_networks_have_the_layers_that_are_asked_for() -> None:
    net = NetConfig(name="dense", latent_dim=50, units_g=[128, 128, 1024], units_d=[128], features=128)
    G, D = build_generator(net, 28, 1, 10), build_discriminator(net, 28, 1, 10)

    def widths(module: torch.nn.Module) -> list[tuple[int, int]]:
        return [(m.in_features, m.out_features) for m in module.modules() if isinstance(m, torch.nn.Linear)]

    assert widths(G.body) == [(100, 128), (128, 128), (128, 1024), (1024, 784)]
    assert [*widths(D.trunk), *widths(D.psi)] == [(784, 128), (128, 128), (128, 1)]
    assert D(G(torch.zeros(2, 50), torch.eye(10)[:2]), torch.eye(10)[:2])[0].shape == (2,)


def test_the_projection_logit_is_psi_plus_the_inner_product_with_the_class_vector() -> None:
    D = build_discriminator(NetConfig(name="dense", width=8, features=6), 8, 1, 3, seed=1)
    phi = torch.randn(2, 6, generator=torch.Generator().manual_seed(3))
    y = torch.tensor([[0.0, 1.0, 0.0], [0.5, 0.25, 0.25]])
    V = D.projection.weight.T  # [K, F]
    expected = phi @ D.psi.weight[0] + D.psi.bias + torch.stack([V[1] @ phi[0], (y[1] @ V) @ phi[1]])
    torch.testing.assert_close(D.logits(phi, y), expected)
