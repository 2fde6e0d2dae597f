"""Of the images that a generator draws, those are asked that its classifier cannot tell and that differ."""

import numpy as np
import pytest
import torch

from distal.errors import TrainingError
from distal.query.synthesis import DRAWN, KEPT, Synthesis, far_apart, synthesize


def generate(z: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Draw one pixel: the first latent, however it is; the class in a second one."""
    values = torch.stack([(z[:, 0].clamp(-2, 2) * 60 + 128), y * 50.0], 1)
    return values.round().to(torch.uint8)[:, None, None]


def classify(images: torch.Tensor) -> dict[str, torch.Tensor]:
    """Doubt what is of middling brightness; see images by that alone."""
    bright = images[:, 0, 0, 0].float() / 255
    return {"probs": torch.stack([bright, 1 - bright, torch.zeros_like(bright)], 1), "embeddings": bright[:, None]}


def ask(n: int = 4, round: int = 3) -> Synthesis:
    return synthesize(generate, classify, np.array([0, 2]), n, 2, seed=7, round=round)


def test_what_is_asked_is_in_doubt_differs_and_is_a_function_of_seed_and_round() -> None:
    found = ask()
    assert found.images.shape == (4, 1, 1, 2)
    assert set(found.classes) <= {0, 2}
    assert (found.images[:, 0, 0, 1] == found.classes * 50).all()
    every = np.sort(np.abs(np.random.default_rng(0).standard_normal(100_000)))
    most = every[int(len(every) * KEPT / DRAWN)] * 60 / 255 * 2  # the tenth that is nearest to the boundary
    assert (1 - found.scores).max() < 1.5 * most
    assert found.scores[0] == found.scores.max() > 0.97
    assert np.allclose(found.scores, 1 - np.abs(found.probs[:, 0] - found.probs[:, 1]), atol=1e-6)
    assert len(np.unique(found.images[:, 0, 0, 0])) == 4, "no two of them look alike"
    again, next_round = ask(), ask(round=4)
    assert np.array_equal(found.images, again.images)
    assert not np.array_equal(found.images, next_round.images)


def test_farthest_first_takes_the_ends_before_the_middle_and_a_repeated_place_last() -> None:
    places = torch.tensor([[5.0], [0.0], [0.0], [10.0], [6.0]])
    assert far_apart(places, 5).tolist() == [0, 1, 3, 4, 2]


def test_a_broken_classifier_asks_nothing() -> None:
    def broken(images: torch.Tensor) -> dict[str, torch.Tensor]:
        return {name: tensor * torch.nan for name, tensor in classify(images).items()}

    with pytest.raises(TrainingError, match="round 1: the model's class probabilities of the images that it draws"):
        synthesize(generate, broken, np.array([0]), 1, 2, seed=0, round=1)
