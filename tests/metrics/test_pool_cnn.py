from pathlib import Path

import numpy as np
import pytest
import torch
from metric_fakes import FakeImages, digits, on_ranks

from distal.communicator import Alone
from distal.metrics import pool_cnn_training
from distal.metrics.pool_cnn import PoolCNN, learns_labels, pool_judge
from distal.metrics.pool_cnn_training import quarter_turns
from distal.metrics.reference import ReferenceSplit
from distal.run.artefacts import Folder
from distal.streams import row_uniforms

PIXELS, LABELS = digits()
NAMES = "0123456789"


@pytest.fixture
def few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool_cnn_training, "STEPS", (20, 20))


HELD_OUT = row_uniforms(np.arange(1797), 0, "holdout") < 0.2


def split(rows: int, labels: bool = True) -> ReferenceSplit:
    return ReferenceSplit(FakeImages(PIXELS, LABELS if labels else None), np.arange(rows), NAMES, 10_000)


def test_learned_from_a_fifth_of_the_digits_it_tells_the_others(tmp_path: Path) -> None:
    fifth = ReferenceSplit(FakeImages(PIXELS, LABELS), np.flatnonzero(HELD_OUT), NAMES, 10_000)
    judge = pool_judge(fifth, Folder(tmp_path), Alone())
    unseen = torch.from_numpy(PIXELS[~HELD_OUT])
    accuracy = float((judge.logits(judge.extractor(unseen)).argmax(1).numpy() == LABELS[~HELD_OUT]).mean())
    assert accuracy > 0.93
    # Its own estimate rests on about 72 images: 3 standard errors of a proportion near 0.95 are 0.08.
    assert judge.accuracy == pytest.approx(accuracy, abs=0.08)


@pytest.mark.usefixtures("few_steps")
def test_all_runs_over_one_split_share_the_network_that_was_trained_first(tmp_path: Path) -> None:
    heard: list[tuple[str, int, int]] = []
    first = pool_judge(split(100), Folder(tmp_path), Alone(), lambda *progress: heard.append(progress))
    assert heard == [("extractor", done, 40) for done in (20, 40)]  # twice 20 steps
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("distal.metrics.pool_cnn.train", None)
        again = pool_judge(split(100), Folder(tmp_path), Alone())
    assert first.extractor.hash == again.extractor.hash
    assert len(list(tmp_path.rglob("*.safetensors"))) == 1


@pytest.mark.usefixtures("few_steps")
def test_training_again_gives_the_same_weights_whatever_the_number_of_threads(tmp_path: Path) -> None:
    before, hashes = torch.get_num_threads(), set()
    for threads in (1, 3):
        torch.set_num_threads(threads)
        hashes.add(pool_judge(split(100), Folder(tmp_path / str(threads)), Alone()).extractor.hash)
    torch.set_num_threads(before)
    assert len(hashes) == 1


@pytest.mark.usefixtures("few_steps")
def test_another_split_has_another_extractor(tmp_path: Path) -> None:
    hashes = {pool_judge(split(rows), Folder(tmp_path), Alone()).extractor.hash for rows in (100, 101)}
    assert len(hashes) == 2


@pytest.mark.usefixtures("few_steps")
def test_every_rank_holds_the_weights_of_the_first(tmp_path: Path) -> None:
    judges = on_ranks(2, lambda comm: pool_judge(split(100), Folder(tmp_path), comm))
    a, b = (judge.extractor(torch.from_numpy(PIXELS[:20])) for judge in judges)
    torch.testing.assert_close(a, b, rtol=0, atol=0)


def test_without_labels_it_learns_quarter_turns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool_cnn_training, "STEPS", (120, 120))
    unlabeled = split(360, labels=False)
    assert not learns_labels(unlabeled)
    judge = pool_judge(unlabeled, Folder(tmp_path), Alone())
    assert judge.network.head.out_features == 4
    assert judge.accuracy > 0.6  # chance is 0.25; about 72 images, so 6 standard errors above it
    assert "quarter turns" in str(judge.extractor.note)


def test_images_are_turned_by_their_own_number_of_quarters() -> None:
    images = torch.arange(8).reshape(2, 1, 2, 2)
    turned = quarter_turns(images, torch.tensor([0, 3]))
    torch.testing.assert_close(turned[0], images[0])
    torch.testing.assert_close(turned[1], images[1].rot90(3, (1, 2)))


@pytest.mark.parametrize("size", [8, 16, 32, 64])
@pytest.mark.parametrize("channels", [1, 3])
def test_every_size_gives_64_features_an_image(size: int, channels: int) -> None:
    network = PoolCNN(size, channels, 5)
    features = network(torch.zeros(2, channels, size, size, dtype=torch.uint8))
    assert features.shape == (2, 64)
    assert network.classify(features).shape == (2, 5)


@pytest.mark.usefixtures("few_steps")
def test_a_class_of_one_image_is_learned_from_without_error(tmp_path: Path) -> None:
    labels = np.zeros(40, np.int64)
    labels[7] = 1
    rare = ReferenceSplit(FakeImages(PIXELS[:40], labels), np.arange(40), "ab", 100)
    assert 0 <= pool_judge(rare, Folder(tmp_path), Alone()).balanced <= 1
