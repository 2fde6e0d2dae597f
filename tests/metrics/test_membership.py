"""A discriminator that knows its training images is found out, and one that does not is not."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from metric_fakes import FakeImages, on_ranks
from sklearn.metrics import roc_auc_score

from distal.communicator import Alone
from distal.metrics.membership import MEMBERSHIP, auc
from distal.metrics.metric import Evaluation
from distal.metrics.reference import ReferenceSplit
from distal.train.rows import TrainingRows

ROWS, HELD_OUT = 600, np.arange(0, 600, 3)
IMAGES = FakeImages(np.random.default_rng(0).integers(0, 256, (ROWS, 1, 8, 8), dtype=np.uint8))
Head = Callable[[torch.Tensor], dict[str, torch.Tensor]]


@pytest.mark.parametrize("levels", [4, 10_000])
def test_the_area_is_scikit_learns_with_and_without_ties(levels: int) -> None:
    draw = np.random.default_rng(levels)
    members, others = draw.integers(0, levels, 150) + levels / 8, draw.integers(0, levels, 90) + 0.0
    truth = np.r_[np.ones(150), np.zeros(90)]
    assert auc(members, others)[0] == pytest.approx(roc_auc_score(truth, np.r_[members, others]), abs=1e-12)


def test_the_interval_covers_the_truth_as_often_as_it_says() -> None:
    draw = np.random.default_rng(1)
    truth = 0.7602  # of N(1, 1) above N(0, 1): Phi(1 / sqrt 2)
    found = [auc(draw.normal(1, 1, 60), draw.normal(0, 1, 40)) for _ in range(400)]
    covered = np.mean([abs(value - truth) <= 1.96 * error for value, error in found])
    assert 0.915 <= covered <= 0.985  # 0.95 by 400 draws, give or take three standard errors


def evaluation(head: Head, comm: object, labeled: int = 50) -> Evaluation:
    def held_out(ids: np.ndarray) -> np.ndarray:
        return ids % 3 == 0

    ids = np.arange(1, 3 * labeled, 3)
    none = np.zeros(0, np.int64)
    training = TrainingRows(IMAGES, ROWS, none, held_out, ids, ids % 2, seed=0)
    split = ReferenceSplit(IMAGES, HELD_OUT, ("a", "b"), ROWS)
    return Evaluation(split, None, None, None, None, head, None, comm, training)  # type: ignore[arg-type]


KNOWN = {IMAGES.pixels(np.array([i])).tobytes() for i in range(1, 150, 3)}


def by_heart(images: torch.Tensor) -> dict[str, torch.Tensor]:
    """Be sure of the labeled images, and of no others."""
    known = [image.numpy().tobytes() in KNOWN for image in images]
    return {"realism": images.float().mean((1, 2, 3)) + 1000 * torch.tensor(known)}


def by_brightness(images: torch.Tensor) -> dict[str, torch.Tensor]:
    return {"realism": images.float().mean((1, 2, 3))}


def test_what_a_discriminator_has_learned_by_heart_is_told_and_what_it_sees_in_all_images_is_not() -> None:
    every, labeled = MEMBERSHIP.function(evaluation(by_heart, Alone()))
    assert labeled.value == 1.0
    assert (labeled.samples, labeled.reference_samples, every.samples) == (50, 200, 400 - missed(every.samples))
    plain = MEMBERSHIP.function(evaluation(by_brightness, Alone()))
    assert every.value is not None
    assert every.value == pytest.approx((plain[0].value or 0) + 0.0625, abs=0.02)  # 50 of 400, each half a rank higher
    for score in plain:
        assert score.value is not None
        assert score.error is not None
        assert abs(score.value - 0.5) < 3 * score.error
        assert score.note is not None
        assert score.note.startswith("95%: 0.")


def missed(samples: int) -> int:
    """Return how many of the 400 training rows 2,000 draws leave out: about 400 exp(-5)."""
    assert 390 <= samples <= 400
    return 400 - samples


def test_two_ranks_find_what_one_finds() -> None:
    (one,) = on_ranks(1, lambda comm: MEMBERSHIP.function(evaluation(by_heart, comm)))
    two = on_ranks(2, lambda comm: MEMBERSHIP.function(evaluation(by_heart, comm)))
    assert two == [one, one]


def test_a_model_without_a_discriminator_and_too_few_images_are_said() -> None:
    for score in MEMBERSHIP.function(evaluation(lambda images: {"probs": torch.ones(len(images), 2)}, Alone())):
        assert (score.value, score.note) == (None, "the model has no discriminator")
    few = MEMBERSHIP.function(evaluation(by_heart, Alone(), labeled=0))[1]
    assert (few.value, few.note) == (None, "0 training and 200 held-out images: it takes 2 of both")
