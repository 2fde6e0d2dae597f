"""What strategies see of features: centred, the leading components, unit length."""

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA

from distal.communicator import Alone
from distal.errors import RunError
from distal.features.network import FeatureRequest
from distal.features.pixels import build_pixels
from distal.features.projection import Projection
from distal.nets.threads import threads
from distal.run.artefacts import Folder


def sample(rows: int = 200, features: int = 12) -> np.ndarray:
    draw = np.random.default_rng(0)
    mixed = draw.standard_normal((rows, features)) @ draw.standard_normal((features, features))
    return (3.0 + mixed * draw.uniform(0.1, 4.0, features)).astype(np.float16)


def test_it_is_what_scikit_learn_makes_of_the_same_rows() -> None:
    rows = sample()
    scores = PCA(5).fit_transform(rows.astype(np.float64))
    unit = scores / np.linalg.norm(scores, axis=1, keepdims=True)
    ours = Projection.fit(rows, 5)(torch.from_numpy(rows)).numpy()
    assert np.allclose(np.abs(ours), np.abs(unit), atol=2e-3)  # a component's sign is free
    assert np.allclose(ours @ ours.T, unit @ unit.T, atol=2e-3)


def test_features_that_never_change_and_too_few_rows_do_no_harm() -> None:
    rows = np.concatenate([sample(3), np.ones((3, 2), np.float16)], 1)
    ours = Projection.fit(rows, 64)(torch.from_numpy(rows))
    assert bool(torch.isfinite(ours).all())
    one = Projection.fit(rows[:1], 4)(torch.from_numpy(rows[:1]))
    assert torch.equal(one, torch.zeros_like(one))


def test_it_comes_back_from_its_bytes() -> None:
    rows = torch.from_numpy(sample())
    projection = Projection.fit(sample(), 4)
    assert torch.equal(Projection.from_bytes(projection.to_bytes())(rows), projection(rows))


def test_one_of_another_network_is_refused_in_words(tmp_path: Path) -> None:
    whole = Projection.fit(sample(), 4).to_bytes()
    network = build_pixels(FeatureRequest(image_size=2, channels=1, comm=Alone(), store=Folder(tmp_path)))
    with pytest.raises(RunError, match=f"projects 12 features, and pixels has {network.width}: the run began with"):
        Projection.from_bytes(whole, network)


def test_a_flipped_bit_of_it_is_refused_or_changes_nothing() -> None:
    whole = Projection.fit(sample(), 4).to_bytes()
    refused = 0
    for bit in np.random.default_rng(0).choice(8 * len(whole), 200, replace=False).tolist():
        flipped = bytearray(whole)
        flipped[bit // 8] ^= 1 << bit % 8
        try:
            assert Projection.from_bytes(bytes(flipped)).to_bytes() == whole
        except RunError:
            refused += 1
    assert refused > 100


def test_its_bits_do_not_depend_on_the_number_of_threads() -> None:
    rows = np.random.default_rng(0).standard_normal((2000, 300)).astype(np.float16)
    made = []
    for number in (1, 2):
        with threads(number):
            made.append(Projection.fit(rows, 64).to_bytes())
    assert made[0] == made[1]
