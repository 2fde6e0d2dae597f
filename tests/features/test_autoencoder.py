from pathlib import Path

import numpy as np
import pytest
import torch
from metric_fakes import FakeImages, digits, on_ranks

from distal.communicator import Alone, Communicator
from distal.errors import ConfigError
from distal.features import FeatureNetwork, FeatureRequest, PoolSample, autoencoder_training
from distal.features import autoencoder as module
from distal.features.autoencoder import Autoencoder, build_autoencoder
from distal.features.autoencoder_training import sampled
from distal.run.artefacts import Folder

PIXELS, _ = digits()


@pytest.fixture
def few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(autoencoder_training, "STEPS", 40)


def build(folder: Path, rows: np.ndarray, comm: Communicator | None = None, **other: object) -> FeatureNetwork:
    pool = PoolSample(FakeImages(PIXELS), rows, f"digits {rows.min()} to {rows.max()}")
    request = {"image_size": 8, "channels": 1, "comm": comm or Alone(), "store": Folder(folder), "pool": pool} | other
    return build_autoencoder(FeatureRequest(**request))  # type: ignore[arg-type]


def test_unseen_digits_are_drawn_again_from_their_features(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(autoencoder_training, "STEPS", 100)
    made: list[Autoencoder] = []
    kept = module.train
    monkeypatch.setattr(module, "train", lambda network, *others: made.append(network) or kept(network, *others))
    network = build(tmp_path, np.arange(1500))
    unseen = torch.from_numpy(PIXELS[1500:])
    features = network(unseen)
    assert features.shape == (297, network.width)
    images = unseen / 127.5 - 1
    with torch.no_grad():
        lost = (made[0].decoder(features) - images).square().mean() / (images - images.mean(0)).square().mean()
    assert lost < 0.5, "the mean of all digits loses all of the variance"


@pytest.mark.usefixtures("few_steps")
def test_it_is_trained_once_for_all_ranks_and_runs_whatever_the_order_of_the_rows(tmp_path: Path) -> None:
    heard: list[tuple[str, int, int]] = []
    rows = np.arange(100)
    first = build(tmp_path / "a", rows, listen=lambda *progress: heard.append(progress))
    assert heard == [("extractor", 20, 40), ("extractor", 40, 40)]
    both = on_ranks(2, lambda comm: build(tmp_path / "b", rows[::-1], comm))
    assert {network.hash for network in both} == {first.hash}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "train", None)
        again = build(tmp_path / "b", rows)
    torch.testing.assert_close(again(torch.from_numpy(PIXELS[:5])), first(torch.from_numpy(PIXELS[:5])))
    assert build(tmp_path / "b", rows[1:]).hash != first.hash


def test_a_sample_is_a_few_thousand_rows_chosen_by_their_ids_alone() -> None:
    rows = np.arange(10_000)
    chosen = sampled(rows)
    assert len(np.unique(chosen)) == len(chosen) == autoencoder_training.SAMPLE
    np.testing.assert_array_equal(sampled(np.random.default_rng(0).permutation(rows)), chosen)
    assert np.isin(sampled(rows[rows % 2 == 0])[:100], rows[rows % 2 == 0]).all()


@pytest.mark.parametrize(("side", "channels"), [(8, 1), (16, 3), (32, 1)])
def test_images_of_every_side_come_back_in_their_shape(side: int, channels: int) -> None:
    network = Autoencoder(side, channels)
    images = torch.zeros(2, channels, side, side)
    assert network.encoder(images).shape == (2, 64)
    assert network(images).shape == images.shape


def test_large_images_are_shrunk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(autoencoder_training, "STEPS", 1)
    pixels = np.random.default_rng(0).integers(0, 256, (6, 3, 64, 64), dtype=np.uint8)
    pool = PoolSample(FakeImages(pixels), np.arange(6), "noise")
    network = build(tmp_path, np.arange(6), image_size=64, channels=3, pool=pool)
    assert network(torch.from_numpy(pixels)).shape == (6, 64)
    assert (network.size, network.channels) == (None, None)


def test_without_a_pool_it_is_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no pool"):
        build(tmp_path, np.arange(5), pool=None)
