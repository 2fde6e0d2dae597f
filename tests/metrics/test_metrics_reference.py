import numpy as np
import pytest
import torch
from metric_fakes import FakeImages, on_ranks

from distal.errors import EvaluationError
from distal.metrics.reference import ReferenceSplit

PIXELS = np.random.default_rng(0).integers(0, 256, (50, 1, 8, 8), dtype=np.uint8)
LABELS = np.arange(50) % 3


def test_a_large_split_is_cut_to_the_same_rows_whatever_their_order() -> None:
    images = FakeImages(PIXELS, LABELS)
    one = ReferenceSplit(images, np.arange(50), "abc", 20)
    two = ReferenceSplit(images, np.arange(50)[::-1], "abc", 20)
    assert len(one) == 20
    np.testing.assert_array_equal(one.row_ids, two.row_ids)
    assert one.key == two.key


@pytest.mark.parametrize("change", ["rows", "labels", "pixels"])
def test_the_key_changes_with_rows_labels_and_images(change: str) -> None:
    base = ReferenceSplit(FakeImages(PIXELS, LABELS), np.arange(40), "abc", 100)
    pixels = 255 - PIXELS if change == "pixels" else PIXELS
    labels = (LABELS + 1) % 3 if change == "labels" else LABELS
    rows = np.arange(39 if change == "rows" else 40)
    assert ReferenceSplit(FakeImages(pixels, labels), rows, "abc", 100).key != base.key


def test_without_a_label_column_every_label_is_missing() -> None:
    split = ReferenceSplit(FakeImages(PIXELS), np.arange(50), "abc", 100)
    assert not split.labeled
    assert set(split.labels) == {-1}


def test_a_label_beyond_the_class_names_is_refused() -> None:
    with pytest.raises(EvaluationError, match="label 2, but there are 2 classes"):
        ReferenceSplit(FakeImages(PIXELS, LABELS), np.arange(50), "ab", 100)


def test_fewer_than_two_images_are_refused() -> None:
    with pytest.raises(EvaluationError, match="there are 1"):
        ReferenceSplit(FakeImages(PIXELS), np.array([3, 3]), "", 100)


def test_ranks_share_all_batches_without_overlap() -> None:
    split = ReferenceSplit(FakeImages(PIXELS), np.arange(50), "", 100)
    found = on_ranks(3, lambda comm: list(split.batches(comm, 8)))
    positions = np.concatenate([p for rank in found for p, _ in rank])
    images = torch.cat([x for rank in found for _, x in rank])
    np.testing.assert_array_equal(np.sort(positions), np.arange(50))
    np.testing.assert_array_equal(images[np.argsort(positions)], PIXELS)
