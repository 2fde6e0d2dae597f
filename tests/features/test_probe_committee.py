import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from distal.features.committee import Committee, bootstrap
from distal.features.probe import Probe


def drawn(rows: int, seed: int = 0) -> tuple[torch.Tensor, np.ndarray]:
    draw = np.random.default_rng(seed)
    labels = draw.integers(3, size=rows)
    centers = np.random.default_rng(1).standard_normal((3, 40))
    return torch.from_numpy((centers[labels] + draw.standard_normal((rows, 40))).astype(np.float32)), labels


def fitted(rows: int, members: int = 6) -> tuple[torch.Tensor, np.ndarray, Probe, Committee]:
    x, labels = drawn(rows)
    probe = Probe.fit(x, labels, 4, None, seed=0)
    return x, labels, probe, Committee.fit(probe, x, labels, members, seed=0)


def test_a_bootstrap_draws_from_each_class_as_often_as_it_has_labels():
    labels = np.array([2, 0, 0, 0, 0, 1, 1, 2, 3])
    draws = [bootstrap(labels, 0, member) for member in range(50)]
    for times in draws:
        assert np.bincount(labels, weights=times).tolist() == [4, 2, 2, 1]
    assert len({tuple(times) for times in draws}) > 20
    assert np.mean(draws, 0)[1:5] == pytest.approx(1.0, abs=0.5)


def test_a_member_is_scikit_learns_regression_on_its_own_bootstrap():
    x, labels, probe, committee = fitted(60)
    z = torch.nn.functional.normalize(x - probe.mean).double().numpy()
    rows = np.repeat(np.arange(60), bootstrap(labels, 0, 2))
    reference = LogisticRegression(C=probe.strength, class_weight="balanced", tol=1e-10, max_iter=5000)
    logits = torch.from_numpy(reference.fit(z[rows], labels[rows]).decision_function(z) / probe.temperature)
    np.testing.assert_allclose(committee.probs(x)[:, 2, :3], logits.softmax(1) * (1.0 - 1.0 / 64), atol=1e-4)


def test_members_agree_more_the_more_labels_there_are():
    fresh = drawn(300, seed=9)[0]
    few, many = (float(fitted(rows)[3].probs(fresh).std(1).mean()) for rows in (12, 400))
    assert many < 0.5 * few


@pytest.mark.parametrize("rows", [0, 1, 40])
def test_probabilities_are_of_all_members_and_classes_and_survive_bytes(rows):
    committee = fitted(rows)[3]
    fresh = drawn(7, seed=3)[0]
    probs = committee.probs(fresh)
    assert probs.shape == (7, 6, 4)
    np.testing.assert_allclose(probs.sum(2), 1.0, atol=1e-6)
    assert float(probs.min()) > 0.0
    assert torch.equal(Committee.from_bytes(committee.to_bytes()).probs(fresh), probs)
