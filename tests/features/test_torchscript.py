import warnings
from pathlib import Path

import pytest
import torch

from distal.communicator import Alone
from distal.errors import ConfigError, EvaluationError
from distal.features import FeatureNetwork, FeatureRequest, check_network
from distal.features.torchscript import build_torchscript
from distal.run.artefacts import Folder


class OfBytes(torch.nn.Module):
    """Take uint8 alone: a float has no remainder of bits."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return torch.bitwise_and(images, 15).float().mean((2, 3))


class OfFloats(torch.nn.Module):
    """Take floats alone, as whatever begins with a convolution does; wants images of 16 px."""

    size: int

    def __init__(self, size: int = 16) -> None:
        super().__init__()
        self.size = size
        self.convolution = torch.nn.Conv2d(3, 2, size, bias=False)
        torch.nn.init.ones_(self.convolution.weight)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.convolution(images)


class OfNothing(torch.nn.Module):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.reshape(7, 11)


def build(module: torch.nn.Module, path: Path) -> FeatureNetwork:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.jit.save(torch.jit.script(module), str(path))
    request = FeatureRequest(image_size=8, channels=1, comm=Alone(), store=Folder(path.parent))
    return build_torchscript(request, str(path))


IMAGES = torch.arange(2 * 64).reshape(2, 1, 8, 8).to(torch.uint8)


def test_a_module_that_takes_bytes_is_given_them_as_they_are(tmp_path: Path) -> None:
    network = build(OfBytes(), tmp_path / "x.pt")
    assert (network.name, network.width, network.size) == (f"torchscript:{tmp_path}/x.pt", 3, None)
    torch.testing.assert_close(network(IMAGES), torch.full((2, 3), 7.5))


def test_a_module_that_takes_floats_is_given_0_to_1_at_the_side_that_it_names(tmp_path: Path) -> None:
    network = build(OfFloats(), tmp_path / "x.pt")
    assert (network.width, network.size, network.channels) == (2, 16, 3)
    white = torch.full((1, 1, 8, 8), 255, dtype=torch.uint8)
    torch.testing.assert_close(network(white), torch.full((1, 2), 3.0 * 16 * 16))


def test_another_file_is_another_network(tmp_path: Path) -> None:
    assert build(OfFloats(), tmp_path / "a.pt").hash != build(OfFloats(15), tmp_path / "b.pt").hash


def test_a_module_that_takes_no_image_is_refused_with_what_torch_says(tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match=r"x\.pt takes images \[n, 3, 8, 8\] neither") as refusal:
        build(OfNothing(), tmp_path / "x.pt")
    assert "shape '[7, 11]' is invalid" in str(refusal.value)
    assert len(str(refusal.value).splitlines()) <= 3


def test_a_path_that_a_worker_would_not_find_is_refused_with_the_one_that_it_would(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=rf"Give the path .*torchscript:{Path.cwd()}/nets/x\.pt"):
        check_network("torchscript:nets/x.pt", None)
    with pytest.raises(EvaluationError, match=r"Cannot read torchscript:/none\.pt: No such file"):
        check_network("torchscript:/none.pt", None)
    (tmp_path / "x.pt").write_bytes(b"x")
    with pytest.raises(EvaluationError, match=r"x\.pt is not a TorchScript module"):
        check_network(f"torchscript:{tmp_path}/x.pt", None)
