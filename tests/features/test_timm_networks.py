"""Against a module in timm's place: timm needs torchvision, which the development environment does not have."""

import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from distal.communicator import Alone
from distal.errors import ConfigError, EvaluationError
from distal.features import FEATURES, FeatureNetwork, FeatureRequest, check_network
from distal.run.artefacts import Folder

MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.25, 0.5)


class Means(torch.nn.Module):
    """Return the mean of each channel times a weight."""

    def __init__(self, weight: float) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.tensor(weight))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        assert x.shape[1:] == (3, 16, 16)
        return x.mean((2, 3)) * self.weight


def create_model(name: str, pretrained: bool, num_classes: int) -> torch.nn.Module:
    assert pretrained
    assert num_classes == 0
    if name == "far":
        raise OSError("We couldn't connect to the hub.\nCheck your connection.")
    return Means(2.0 if name == "twice" else 1.0)


@pytest.fixture(autouse=True)
def timm(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    package: Any = ModuleType("timm")
    package.__spec__, package.__path__, package.__version__ = ModuleSpec("timm", None), [], "1.0"
    package.data = ModuleType("timm.data")
    package.data.resolve_model_data_config = lambda model: {"input_size": (3, 16, 16), "mean": MEAN, "std": STD}
    package.create_model, package.is_model = create_model, lambda name: name in ("once", "twice", "far")
    monkeypatch.setitem(sys.modules, "timm", package)
    monkeypatch.setitem(sys.modules, "timm.data", package.data)
    return package  # type: ignore[no-any-return]


def build(name: str, folder: Path) -> FeatureNetwork:
    request = FeatureRequest(image_size=8, channels=1, comm=Alone(), store=Folder(folder), gains=False)
    return FEATURES.find(name)(request)


def test_images_are_normalized_as_the_weights_were_trained(tmp_path: Path) -> None:
    network = build("timm:twice", tmp_path)
    assert (network.name, network.width, network.size, network.channels) == ("timm:twice", 3, 16, 3)
    white = torch.full((1, 1, 8, 8), 255, dtype=torch.uint8)
    expected = 2 * (1 - torch.tensor(MEAN)) / torch.tensor(STD)
    torch.testing.assert_close(network(white)[0], expected)


def test_other_weights_have_another_hash_and_the_same_the_same(tmp_path: Path) -> None:
    assert len({build(f"timm:{name}", tmp_path).hash for name in ("once", "twice", "once")}) == 2


def test_an_unknown_model_and_weights_out_of_reach_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"timm:thrice: timm 1\.0 has no such model"):
        build("timm:thrice", tmp_path)
    with pytest.raises(EvaluationError, match=r"timm:far: timm cannot have its weights: We couldn't connect") as far:
        build("timm:far", tmp_path)
    assert "HF_HOME" in str(far.value)
    assert len(str(far.value).splitlines()) == 2


def test_without_timm_the_extra_that_brings_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(ConfigError, match=r"timm:once needs the package timm\.\nInstall it with pip install 'distal\["):
        check_network("timm:once", None)


def test_a_torchvision_that_does_not_fit_torch_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(name: str) -> None:
        raise RuntimeError("operator torchvision::nms does not exist")

    monkeypatch.setattr("distal.features.timm_networks.importlib.import_module", fails)
    with pytest.raises(ConfigError, match=r"operator torchvision::nms does not exist\nInstall torchvision"):
        build("timm:once", tmp_path)
