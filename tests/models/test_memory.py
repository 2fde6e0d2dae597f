"""A model that cannot fit is refused before it is built, with the estimate; one that fits is let through."""

import pytest
import torch

from distal.errors import ConfigError
from distal.models import MODELS, memory
from distal.models.memory import WEIGHT_BYTES, outputs, require_memory
from distal.nets import build_discriminator, build_generator
from distal.resolve import read_config

GIB = 2**30


@pytest.fixture(autouse=True)
def _eight_gib(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "memory_bytes", lambda device: 8 * GIB)


@pytest.mark.parametrize(
    ("overrides", "ranks", "named"),
    [
        (["net.width=1024", "net.name=residual"], 1, "net.width=1024"),
        (["train.batch_size=65536"], 1, "train.batch_size=65536"),
        (["train.batch_size=65536"], 4, "train.batch_size=65536"),
    ],
)
def test_what_cannot_fit_is_refused_with_the_estimate(overrides: list[str], ranks: int, named: str) -> None:
    with pytest.raises(ConfigError, match=r"at least [\d,.]+ GiB.*there are 8\.0 GiB") as refused:
        require_memory(read_config(None, overrides), 64, 3, 10, ranks, "cpu")
    assert str(refused.value).startswith(named)
    assert len(str(refused.value).splitlines()) <= 3


@pytest.mark.parametrize(("size", "overrides"), [(8, []), (64, []), (64, ["train.batch_size=1024"])])
def test_what_fits_is_let_through(size: int, overrides: list[str]) -> None:
    require_memory(read_config(None, overrides), size, 3, 10, 1, "cpu")


@pytest.mark.parametrize("model", ["gan", "gman", "vae", "autoencoder", "ensemble"])
def test_a_model_is_weighed_by_the_networks_that_it_builds(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A VAE of 64 px was once weighed by the discriminator that a GAN would have."""
    config = read_config(None, [f"model.kind={model}", "net.width=8"])
    built = MODELS.find(model).create(config, 64, 1, 3).modules()
    learns = sum(p.numel() for module in built.values() for p in module.parameters() if p.requires_grad)
    monkeypatch.setattr(memory, "VALUE_BYTES", 0)
    monkeypatch.setattr(memory, "memory_bytes", lambda device: WEIGHT_BYTES * learns - 1)
    with pytest.raises(ConfigError, match="for the networks"):
        require_memory(config, 64, 1, 3, 1, "cpu")
    monkeypatch.setattr(memory, "memory_bytes", lambda device: WEIGHT_BYTES * learns)
    require_memory(config, 64, 1, 3, 1, "cpu")


def test_more_workers_divide_what_a_batch_needs() -> None:
    require_memory(read_config(None, ["train.batch_size=65536"]), 64, 3, 10, 64, "cpu")


def test_the_weights_that_are_counted_are_those_that_are_built(monkeypatch: pytest.MonkeyPatch) -> None:
    config = read_config()
    built = (build_generator(config.net, 8, 1, 10), build_discriminator(config.net, 8, 1, 10))
    needed = WEIGHT_BYTES * sum(parameter.numel() for module in built for parameter in module.parameters())
    monkeypatch.setattr(memory, "memory_bytes", lambda device: needed - 1)
    with pytest.raises(ConfigError, match=r"net\.width=32, net\.latent_dim=64 and net\.features=64"):
        require_memory(config, 8, 1, 10, 1, "cpu")


def test_the_outputs_of_all_layers_are_counted() -> None:
    with torch.device("meta"):
        layers = torch.nn.Sequential(torch.nn.Conv2d(1, 5, 3, padding=1), torch.nn.Flatten(), torch.nn.Linear(80, 3))
    assert outputs(lambda: layers(torch.empty(1, 1, 4, 4, device="meta"))) == 5 * 4 * 4 + 3
