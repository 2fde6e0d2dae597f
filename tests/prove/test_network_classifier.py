"""The gate's second classifier: it learns from pixels, and by it as well the gate tells the truth."""

from collections.abc import Iterator, Sequence

import numpy as np
import pytest
import torch
from metric_fakes import digits

from distal.prove import Evidence, Examples, network, prove
from distal.prove.look import CLASSICAL
from distal.prove.network import OnPixels, SmallNetwork
from distal.prove.trainings import CURVE, IMAGES, Learner, Said, Training, carry_out
from distal.prove.trainings import LABELS as LABELS_ALONE
from distal.prove.verdict import Judged, headline, judge

PIXELS, LABELS = digits()


def examples(first: int, last: int) -> Examples:
    return Examples(torch.from_numpy(PIXELS[first:last]), LABELS[first:last])


def test_it_learns_digits_from_two_hundred(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "STEPS", 200)
    unseen = examples(1000, 1400)
    said, _ = SmallNetwork(examples(0, 200), 10, CLASSICAL, (0, 0)).held_out_probs(unseen, np.ones(400, np.bool_))
    assert (said.argmax(1) == unseen.labels).mean() > 0.8
    assert said.sum(1) == pytest.approx(np.ones(400), abs=1e-5)


def test_the_same_seed_gives_the_same_bits_and_another_seed_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "STEPS", 5)
    train, images = examples(0, 100), torch.from_numpy(PIXELS[500:520])
    first, again, other = (SmallNetwork(train, 10, CLASSICAL, (0, seed)).probs(images) for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.allclose(first, other)


SEEDS = 2
KINDS = np.array([0, 2, 3, 1, 2, 1, 0, 2, 3, 3])[LABELS]
"""Four classes of two or three digits each, so that two labels of a rare one cannot show all that it holds."""

COUNTS = np.array([20, 20, 2, 2])
WANTED = 60 - COUNTS


def of_each(counts: np.ndarray, skipped: np.ndarray) -> Examples:
    """Take so many images of each class, after so many that are left out."""
    rows = [np.flatnonzero(c == KINDS)[s : s + n] for c, (n, s) in enumerate(zip(counts, skipped, strict=True))]
    chosen = np.concatenate(rows)
    return Examples(torch.from_numpy(PIXELS[chosen]), KINDS[chosen])


def evidence(images: str) -> Evidence:
    labeled, real = of_each(COUNTS, np.zeros(4, np.int64)), of_each(WANTED, COUNTS)
    held_out, pool = of_each(np.full(4, 80), np.full(4, 150)), of_each(np.full(4, 10), np.full(4, 60))
    again = [np.resize(np.flatnonzero(labeled.labels == c), n) for c, n in enumerate(WANTED)]
    noise = np.random.default_rng(0).integers(0, 256, real.features.shape, dtype=np.uint8)
    given = {
        "real": real,
        "noise": Examples(torch.from_numpy(noise), real.labels),
        "wrong class": Examples(real.features, (real.labels + 1) % 4),
        "copies": labeled.take(np.concatenate(again)),
    }[images]
    return Evidence(tuple("abcd"), labeled, held_out, examples(0, 0), given, pool.features, WANTED, price=30, seed=0)


@pytest.fixture(scope="module")
def answers() -> Iterator[dict[str, Judged]]:
    """Put four sets of images through the gate; what is not trained on images is trained once for all of them.

    The learning curve is not asked about here, so it is flat.
    """
    patch = pytest.MonkeyPatch()
    patch.setattr(network, "STEPS", 60)
    patch.setattr(network, "BATCH", 16)
    done: dict[Training, Said] = {}

    def carry(of: Evidence, learner: Learner, asked: Sequence[Training]) -> list[Said]:
        for training in asked:
            if training.on in CURVE:
                done[training] = {training.on: done[Training(training.seed, LABELS_ALONE)][LABELS_ALONE]}
            elif training.on == IMAGES or training not in done:
                done[training] = carry_out(of, learner, training)
        return [done[training] for training in asked]

    learner = OnPixels(CLASSICAL, 0, "cpu")
    yield {
        images: headline(judge(prove(evidence(images), SEEDS, learner, carry)))
        for images in ("real", "noise", "wrong class", "copies")
    }
    patch.undo()


def test_by_it_real_images_are_a_yes(answers: dict[str, Judged]) -> None:
    assert answers["real"].group.members == (2, 3)
    assert answers["real"].answer == "yes"


@pytest.mark.parametrize("images", ["noise", "wrong class", "copies"])
def test_by_it_noise_images_of_the_wrong_class_and_copies_are_a_no(images: str, answers: dict[str, Judged]) -> None:
    assert answers[images].answer != "yes"


def test_by_it_images_of_the_wrong_class_lower_every_score(answers: dict[str, Judged]) -> None:
    """Not for sure: half of what the network sees of a class are its labels, whatever is added."""
    assert {name for name, gain in answers["wrong class"].gains.items() if gain.value >= 0} == set()
