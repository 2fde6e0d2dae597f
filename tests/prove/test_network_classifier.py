"""The gate's second classifier: it learns from pixels, and by it as well the gate tells the truth."""

from collections.abc import Iterator, Sequence

import numpy as np
import pytest
import torch
from metric_fakes import digits

from distal.prove import Evidence, Examples, network, prove
from distal.prove.look import CLASSICAL
from distal.prove.network import OnPixels, SmallNetwork
from distal.prove.trainings import IMAGES, Learner, Said, Training, carry_out
from distal.prove.verdict import Judged, headline, judge

PIXELS, LABELS = digits()


def examples(first: int, last: int) -> Examples:
    return Examples(torch.from_numpy(PIXELS[first:last]), LABELS[first:last])


def test_it_learns_digits_from_two_hundred() -> None:
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
COUNTS = np.array([14, 14, 14, 14, 14, 14, 4, 4, 4, 4])
"""Labels of each digit: the last four are rare."""

WANTED = 28 - COUNTS


def of_each(counts: np.ndarray, skipped: np.ndarray) -> Examples:
    """Take so many digits of each class, after so many that are left out."""
    rows = [np.flatnonzero(c == LABELS)[s : s + n] for c, (n, s) in enumerate(zip(counts, skipped, strict=True))]
    chosen = np.concatenate(rows)
    return Examples(torch.from_numpy(PIXELS[chosen]), LABELS[chosen])


LABELED = of_each(COUNTS, np.zeros(10, np.int64))
REAL = of_each(WANTED, COUNTS)


def evidence(images: Examples) -> Evidence:
    held_out, pool = of_each(np.full(10, 60), np.full(10, 80)), of_each(np.full(10, 20), np.full(10, 50))
    none = examples(0, 0)
    return Evidence(tuple("0123456789"), LABELED, held_out, none, images, pool.features, WANTED, price=30, seed=0)


def copies() -> Examples:
    rows = [np.resize(np.flatnonzero(LABELED.labels == c), n) for c, n in enumerate(WANTED)]
    return LABELED.take(np.concatenate(rows))


def noise() -> Examples:
    drawn = np.random.default_rng(0).integers(0, 256, REAL.features.shape, dtype=np.uint8)
    return Examples(torch.from_numpy(drawn), REAL.labels)


@pytest.fixture(scope="module")
def answers() -> Iterator[dict[str, Judged]]:
    """Put four sets of images through the gate; what is not trained on images is trained once for all of them."""
    patch = pytest.MonkeyPatch()
    patch.setattr(network, "STEPS", 80)
    shared: dict[Training, Said] = {}

    def carry(of: Evidence, learner: Learner, asked: Sequence[Training]) -> list[Said]:
        for training in asked:
            if training.on == IMAGES or training not in shared:
                shared[training] = carry_out(of, learner, training)
        return [shared[training] for training in asked]

    given = {"real": REAL, "noise": noise(), "copies": copies()}
    given["wrong class"] = Examples(REAL.features, (REAL.labels + 1) % 10)
    learner = OnPixels(CLASSICAL, 0, "cpu")
    yield {name: headline(judge(prove(evidence(of), SEEDS, learner, carry))) for name, of in given.items()}
    patch.undo()


def test_by_it_real_images_are_a_yes(answers: dict[str, Judged]) -> None:
    assert answers["real"].group.members == (6, 7, 8, 9)
    assert answers["real"].answer == "yes"


@pytest.mark.parametrize("images", ["noise", "wrong class", "copies"])
def test_by_it_noise_images_of_the_wrong_class_and_copies_are_a_no(images: str, answers: dict[str, Judged]) -> None:
    assert answers[images].answer != "yes"


def test_by_it_images_of_the_wrong_class_are_said_to_harm(answers: dict[str, Judged]) -> None:
    assert answers["wrong class"].answer == "harm"
