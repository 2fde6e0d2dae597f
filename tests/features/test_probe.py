import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from distal.features.logistic import fit_logistic
from distal.features.probe import LEAST, LEFT_OUT, Probe, folds

CLASSES = 5
FEATURES = 70


def pool(rows: int, seed: int = 0, classes: int = CLASSES) -> tuple[torch.Tensor, np.ndarray]:
    """Draw features with one direction a class, off centre and of unequal scales, and their labels."""
    draw = np.random.default_rng(seed)
    centers = np.random.default_rng(99).standard_normal((classes, FEATURES))
    labels = draw.integers(classes, size=rows)
    x = centers[labels] + 2.0 * draw.standard_normal((rows, FEATURES))
    x = x * np.geomspace(0.3, 3.0, FEATURES) + 3.0
    return torch.from_numpy(x.astype(np.float32)), labels


def problem(rows: int, features: int, seed: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    draw = torch.Generator().manual_seed(seed)
    x = torch.randn(rows, features, generator=draw, dtype=torch.float64)
    targets = torch.nn.functional.one_hot(torch.randint(4, (rows,), generator=draw), 4).double()
    return x, targets, torch.rand(rows, generator=draw, dtype=torch.float64) + 0.1


@pytest.mark.parametrize(("rows", "features", "strength"), [(60, 20, 0.01), (60, 20, 1.0), (30, 90, 300.0)])
def test_the_optimum_is_scikit_learns(rows, features, strength):
    x, targets, weights = problem(rows, features, rows + features)
    w = fit_logistic(x, targets, weights, strength, tolerance=1e-10)
    reference = LogisticRegression(C=strength, tol=1e-12, solver="newton-cg", max_iter=1000)
    reference.fit(x.numpy(), targets.argmax(1).numpy(), sample_weight=weights.numpy())
    np.testing.assert_allclose(w[:-1].T, reference.coef_, atol=1e-5)
    ours = torch.cat([x, x.new_ones(rows, 1)], 1) @ w
    np.testing.assert_allclose(ours.softmax(1), reference.predict_proba(x.numpy()), atol=1e-5)


@pytest.mark.parametrize("strength", [1e-3, 1.0, 1e3])
def test_the_gradient_is_zero_at_the_optimum(strength):
    x, targets, weights = problem(50, 30, 7)
    w = fit_logistic(x, targets, weights, strength, tolerance=1e-10).requires_grad_()
    logits = x @ w[:-1] + w[-1]
    value = torch.nn.functional.cross_entropy(logits, targets, reduction="none") @ weights
    (value + w[:-1].square().sum() / (2.0 * strength)).backward()
    assert float(w.grad.abs().max()) <= 1e-9 * float(weights.sum())


def test_a_probe_is_scikit_learns_on_unit_directions_with_classes_weighing_alike():
    x, labels = pool(120)
    labels[labels == 1] = 0  # unequal classes
    mean = pool(500, seed=1)[0].mean(0)
    probe = Probe.fit(x, labels, CLASSES, mean, seed=3)
    z = (x - mean).double().numpy()
    z /= np.linalg.norm(z, axis=1, keepdims=True)
    reference = LogisticRegression(C=probe.strength, class_weight="balanced", tol=1e-10, max_iter=5000).fit(z, labels)
    logits = torch.from_numpy(reference.decision_function(z) / probe.temperature)
    rest = 1.0 - 1.0 / (120 + CLASSES)
    np.testing.assert_allclose(probe.probs(x)[:, [0, 2, 3, 4]], logits.softmax(1) * rest, atol=1e-5)


def test_a_probe_learns_what_can_be_learned_and_says_how_well():
    x, labels = pool(200)
    probe = Probe.fit(x, labels, CLASSES, x.mean(0), seed=0)
    fresh, truth = pool(1000, seed=5)
    assert np.mean(probe.probs(fresh).argmax(1).numpy() == truth) > 0.9
    assert 0.0 < probe.loss < 0.5 * np.log(CLASSES)
    assert 0.0 <= probe.calibration_error < 0.15


@pytest.mark.parametrize("present", [[], [3], [3, 3, 3], [0, 3], [0, 3, 3], [0, 1, 2, 3]])
def test_few_labels_give_probabilities_of_all_classes(present):
    x, _ = pool(len(present))
    probe = Probe.fit(x, np.array(present, dtype=np.int64), CLASSES, pool(100)[0].mean(0), seed=0)
    probs = probe.probs(pool(50, seed=2)[0])
    assert probs.shape == (50, CLASSES)
    assert probs.dtype == torch.float32
    np.testing.assert_allclose(probs.sum(1), 1.0, atol=1e-6)
    absent = [k for k in range(CLASSES) if k not in present]
    np.testing.assert_allclose(probs[:, absent], 1.0 / (len(present) + CLASSES), rtol=1e-5)


def test_no_class_is_impossible_however_certain_the_probe():
    x = torch.eye(6).repeat(50, 1) * 1000.0
    labels = np.arange(6).repeat(1).tolist() * 50
    probs = Probe.fit(x, np.array(labels), 6, None, seed=0).probs(x)
    assert float(probs.min()) >= 0.9 * LEAST


def test_the_same_input_gives_the_same_bytes_and_the_bytes_the_same_probe():
    x, labels = pool(60)
    before = torch.get_num_threads()
    probes = []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            probes.append(Probe.fit(x, labels, CLASSES, x.mean(0), seed=4).to_bytes())
    finally:
        torch.set_num_threads(before)
    assert probes[0] == probes[1]
    probe = Probe.from_bytes(probes[0])
    assert probe.to_bytes() == probes[0]
    assert torch.equal(probe.probs(x), Probe.fit(x, labels, CLASSES, x.mean(0), seed=4).probs(x))


def test_a_probe_of_one_label_keeps_through_bytes():
    probe = Probe.fit(pool(1)[0], np.array([2]), CLASSES, None, seed=0)
    assert Probe.from_bytes(probe.to_bytes()).probs(pool(3)[0]).argmax(1).tolist() == [2, 2, 2]


def test_half_precision_features_change_probabilities_by_their_rounding_alone():
    x, labels = pool(100)
    probe = Probe.fit(x, labels, CLASSES, x.mean(0), seed=0)
    np.testing.assert_allclose(probe.probs(x.half()), probe.probs(x), atol=0.02)


def test_a_feature_that_never_varies_changes_nothing():
    x, labels = pool(80)
    wider = torch.cat([x, torch.full((80, 1), 7.0)], 1)
    plain, with_it = (Probe.fit(f, labels, CLASSES, f.mean(0), seed=0).probs(f) for f in (x, wider))
    np.testing.assert_allclose(plain, with_it, atol=1e-5)


def test_folds_leave_out_each_label_once_and_never_a_class():
    y = np.array([0] * 7 + [1] * 2 + [2] + [3] * 30)
    left_out = list(folds(y, seed=0))
    assert sorted(np.concatenate(left_out)) == [row for row in range(40) if y[row] != 2]
    for rows in left_out:
        assert set(np.delete(y, rows)) == {0, 1, 2, 3}


def test_many_labels_leave_out_no_more_than_is_needed():
    y = np.arange(1000) % 4
    left_out = list(folds(y, seed=0))
    assert LEFT_OUT <= sum(map(len, left_out)) < LEFT_OUT + len(y) // 5
    for rows in left_out:
        assert np.bincount(y[rows]).tolist() == [50] * 4
