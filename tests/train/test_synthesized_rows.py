"""Drawn images that people answered stand beside a batch's real rows, never among them, however it is cut."""

import numpy as np
import torch
from training_case import ROWS, Stripes, labeled_rows

from distal.train.batch import Batch, draw_batch
from distal.train.rows import TrainingRows
from distal.train.synthesized import Synthesized

PIXELS = np.arange(5, dtype=np.uint8)[:, None, None, None].repeat(8, 2).repeat(8, 3)
ANSWERED = Synthesized(PIXELS, np.array([0, 1, -1, -1, 1]))


def batch(rows: TrainingRows, rank: int = 0, size: int = 1, share: float = 0.5) -> Batch:
    return draw_batch(rows, 3, 12, 0.5, 4, 2, rank, size, torch.device("cpu"), torch.contiguous_format, False, share)


def numbers(images: torch.Tensor) -> list[int]:
    """Return which of PIXELS each image is."""
    return ((images[:, 0, 0, 0] + 1) * 127.5).round().int().tolist()


def test_a_share_of_the_labeled_rows_is_drawn_beside_them_and_the_real_rows_stay_what_they_are() -> None:
    plain, with_own = batch(labeled_rows()), batch(labeled_rows(synthesized=ANSWERED))
    assert plain.synthesized is None
    own = with_own.synthesized
    assert own is not None
    assert torch.equal(plain.images, with_own.images)
    assert len(own.labels) == 3  # half of six labeled rows
    assert own.labels.tolist() == ANSWERED.labels[numbers(own.images)].tolist()
    least = batch(labeled_rows(synthesized=ANSWERED), share=0.01).synthesized
    assert least is not None
    assert len(least.labels) == 1, "what people said is not left out for being little"


def test_ranks_share_them_out_and_each_stands_beside_the_same_row() -> None:
    rows = labeled_rows(synthesized=ANSWERED)
    whole = batch(rows).synthesized
    assert whole is not None
    beside: dict[int, tuple[int, int]] = {}
    for rank in range(5):
        part = batch(rows, rank, 5)
        assert part.synthesized is not None
        positions = part.positions[part.synthesized.partners].tolist()
        labels = part.synthesized.labels.tolist()
        beside |= dict(zip(positions, zip(labels, numbers(part.synthesized.images), strict=True), strict=True))
    expected = zip(whole.labels.tolist(), numbers(whole.images), strict=True)
    assert beside == dict(zip(whole.partners.tolist(), expected, strict=True))


def test_without_a_labeled_row_there_is_nothing_to_stand_beside() -> None:
    none = np.zeros(0, np.int64)
    rows = TrainingRows(Stripes(), ROWS, none, None, none, none, seed=4, synthesized=ANSWERED)
    drawn = draw_batch(rows, 0, 12, 0.0, 4, 2, 0, 1, torch.device("cpu"), torch.contiguous_format)
    assert drawn.synthesized is None
