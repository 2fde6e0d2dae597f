"""Images that G makes from the latents of real ones: which rows, what they are held to, what each key does."""

from collections.abc import Iterator
from typing import Any

import frozen_fake
import numpy as np
import pytest
import torch
from torch import Tensor
from training_case import config, labeled_rows, trained, weights

from distal.communicator import Alone
from distal.config import Config
from distal.errors import RunError
from distal.models import GAN
from distal.models.gan.reconstruction import Codes, chosen_rows, maps_apart, pixels_apart
from distal.nets.encoder import Encoder
from distal.train import train_round
from distal.train.batch import Batch, draw_batch


@pytest.fixture(autouse=True)
def tiny() -> Iterator[frozen_fake.Tiny]:
    with frozen_fake.added() as network:
        yield network


def held(**changes: Any) -> Config:
    return config("projected", **{"backbone": "tiny", "learning_rate_g": 2e-3} | changes)


def batch_of(rank: int, size: int, total: int = 12, labeled: float = 0.5) -> Batch:
    cpu = torch.device("cpu")
    return draw_batch(labeled_rows(), 0, total, labeled, 5, 1, rank, size, cpu, torch.contiguous_format)


@pytest.mark.parametrize("fraction", [0.1, 0.5, 0.7, 1.0])
def test_the_rows_that_are_reconstructed_do_not_depend_on_the_ranks_and_add_up_to_their_share(fraction: float) -> None:
    alone, total = chosen_rows(batch_of(0, 1), fraction)
    parts = [batch_of(rank, 3) for rank in range(3)]
    chosen = [part.positions[chosen_rows(part, fraction)[0]] for part in parts]
    assert sorted(torch.cat(chosen).tolist()) == batch_of(0, 1).positions[alone].tolist()
    assert len(alone) == total == max(1, int(12 * fraction))


def test_every_class_of_the_labeled_rows_is_reconstructed_as_often() -> None:
    batch = batch_of(0, 1, labeled=1.0)
    rows, _ = chosen_rows(batch, 0.5)
    assert torch.bincount(batch.labels[rows]).tolist() == [3, 3]


def test_the_divergence_is_that_of_the_two_normal_distributions() -> None:
    mean, log_variance = np.random.default_rng(0).normal(size=(2, 4, 5))
    codes = Codes(torch.arange(4), 8, *map(torch.from_numpy, (mean, log_variance, mean)))
    x = np.linspace(-20, 20, 20_001)[:, None, None]
    log_p = -0.5 * (log_variance + (x - mean) ** 2 / np.exp(log_variance))
    integral = (np.exp(log_p) * (log_p + 0.5 * x**2)).sum(0) * 0.002 / np.sqrt(2 * np.pi)
    assert float(codes.divergence()) == pytest.approx(integral.sum() / 8, rel=1e-6)


def test_pixels_are_compared_at_four_sizes() -> None:
    a, b = (np.random.default_rng(seed).normal(size=(2, 3, 16, 16)) for seed in (0, 1))
    difference, expected = a - b, np.zeros(2)
    for _ in range(4):
        expected += np.abs(difference).mean((1, 2, 3)) / 4
        side = difference.shape[-1] // 2
        difference = difference.reshape(2, 3, side, 2, side, 2).mean((3, 5))
    np.testing.assert_allclose(pixels_apart(torch.from_numpy(a), torch.from_numpy(b)).numpy(), expected, rtol=1e-12)


def test_maps_are_compared_by_their_directions_at_each_place() -> None:
    a, b = (torch.randn(2, 6, 3, 3, generator=torch.Generator().manual_seed(seed)) for seed in (0, 1))
    cosine = torch.nn.functional.cosine_similarity(a, b, dim=1)
    torch.testing.assert_close(maps_apart(a, b), (2 - 2 * cosine).mean((1, 2)))
    torch.testing.assert_close(maps_apart(3 * a, a), torch.zeros(2), atol=1e-6, rtol=0)


def test_an_encoder_takes_maps_of_any_size_and_bounds_its_variances() -> None:
    encoder = Encoder([(4, 24, 24), (6, 3, 3)], 1, 3, 5).eval()
    seen = [1e4 * torch.randn(2, 4, 24, 24), torch.randn(2, 6, 3, 3)]
    mean, log_variance = encoder(seen, torch.zeros(2, 1, 8, 8), torch.eye(3)[:2])
    assert mean.shape == log_variance.shape == (2, 5)
    assert log_variance.exp().isfinite().all()


def difference(state: GAN, images: Tensor, labels: Tensor) -> Tensor:
    """Return how far images are from what the averaged G makes of the means of their latents, [n]."""
    G, encoder = state.averaged_G, state.averaged_G.encoder
    assert encoder is not None
    y = torch.eye(2)[labels]
    with torch.no_grad():
        return pixels_apart(G(encoder(state.D.see(images), images, y)[0], y), images)


def test_real_images_are_found_again_from_their_latents() -> None:
    state, losses = trained(held(reconstruction=50.0, labeled_fraction=1.0), 40)
    ids = np.arange(6)
    images = torch.from_numpy(labeled_rows().images.pixels(ids)).float() / 127.5 - 1
    own = difference(state, images, torch.from_numpy(ids % 2))
    assert own.mean() < 0.7 * pixels_apart(images, images.roll(1, 0)).mean(), "nearer than an image of the other class"
    assert losses["code"] > 0


def test_no_encoder_is_there_where_nothing_is_reconstructed_nor_for_other_networks_unless_it_is_asked_for() -> None:
    for c in (held(reconstruction=0), config("dense")):
        state, losses = trained(c, 1)
        assert state.G.encoder is None
        assert not losses.keys() & {"apart", "code"}
    assert "apart" in trained(config("dense", reconstruction=1.0), 1)[1]


@pytest.mark.parametrize(("written", "read"), [(0.0, 50.0), (50.0, 0.0)])
def test_a_checkpoint_with_an_encoder_is_not_read_without_one_nor_the_other_way(written: float, read: float) -> None:
    files = GAN.create(held(reconstruction=written), 8, 1, 2).to_files()
    with pytest.raises(RunError, match=r"model\.reconstruction is .*\n.*start a new run"):
        GAN.from_files(held(reconstruction=read), files)


@pytest.mark.parametrize("key", ["reconstruction", "reconstructed", "code_weight"])
def test_each_key_changes_what_is_learned(key: str) -> None:
    plain = {"reconstruction": 10.0, "reconstructed": 0.5, "code_weight": 0.05}
    one, other = (trained(held(**plain | {key: factor * plain[key]}), 2)[0] for factor in (1, 2))
    assert not torch.equal(weights(one), weights(other))


def test_a_batch_in_pieces_teaches_the_encoder_as_well() -> None:
    state = GAN.create(held(accumulate=2), 8, 1, 2)
    assert state.G.encoder is not None
    before = state.G.encoder.first.weight.clone()
    train_round(state, labeled_rows(), Alone(), 1)
    assert not torch.equal(state.G.encoder.first.weight, before)


def test_a_reconstructed_image_is_seen_augmented_as_its_real_one_is(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Tensor] = []
    state = GAN.create(held(augment=["brightness"], labeled_fraction=1.0, reconstructed=1.0), 8, 1, 2)
    monkeypatch.setattr(type(state.G), "forward", lambda self, z, y: torch.zeros(len(z), 1, 8, 8, requires_grad=True))
    monkeypatch.setattr(type(state.D), "see", lambda self, x: seen.append(x.detach()) or self.trunk.see(x))
    rows = labeled_rows()
    state.advance(rows, Alone())
    plain, real, fake = seen
    torch.testing.assert_close((real - plain).mean((1, 2, 3)), fake.mean((1, 2, 3)), atol=1e-5, rtol=0)
