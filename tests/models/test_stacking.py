"""Stacking: a combiner of members' probabilities, fitted to labels that no member was shown."""

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from training_case import config, labeled_rows, weights

from distal.communicator import Alone
from distal.models import Ensemble, read_scorer
from distal.models.ensemble.rows import bagged
from distal.models.ensemble.stacking import PULL, combined, fit_weights, held_out, learned_from
from distal.train import train_round


def committee(rows: int = 60) -> tuple[torch.Tensor, torch.Tensor]:
    """Return what three members say of three classes: one knows them, one guesses, one is sure of the wrong one."""
    draw = torch.Generator().manual_seed(0)
    labels = torch.randint(3, (rows,), generator=draw)
    right, wrong = torch.eye(3)[labels], torch.eye(3)[(labels + 1) % 3]
    logits = torch.stack([2.0 * right, 0.0 * right, 1.5 * wrong], 1) + torch.randn(rows, 3, 3, generator=draw)
    return logits.softmax(2), labels


def test_the_weights_are_the_optimum_that_another_optimizer_finds() -> None:
    said, labels = committee()
    logs = said.double().log().numpy()

    def loss(w: np.ndarray) -> float:
        logits = np.einsum("m,nmk->nk", w, logs)
        likelihood = logits[np.arange(len(labels)), labels] - np.log(np.exp(logits).sum(1))
        return float(-likelihood.sum() + 0.5 * PULL * ((w - 1 / 3) ** 2).sum())

    expected = minimize(loss, np.zeros(3), method="BFGS", options={"gtol": 1e-6}).x
    found = fit_weights(said, labels)
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-5)
    assert found[0] > 0.5
    assert found[2] < 0, "what a member is sure of is held against it where it is wrong"


def test_stacked_members_are_right_where_their_mean_and_their_votes_are_not() -> None:
    said, labels = committee(300)
    w = fit_weights(said[:60], labels[:60])
    stacked, mean = combined(said, w), said.mean(1)
    assert (stacked.argmax(1) == labels)[60:].float().mean() > 0.15 + (mean.argmax(1) == labels)[60:].float().mean()
    torch.testing.assert_close(stacked.sum(1), torch.ones(300))


def test_a_fifth_of_each_classs_labels_is_held_out_and_never_drawn_as_labeled() -> None:
    rows = labeled_rows(23)
    kept = held_out(rows, 4)
    many = held_out(labeled_rows(200), 4)
    assert 25 < many.sum() < 55
    assert np.array_equal(many[np.isin(labeled_rows(200).labeled_ids, rows.labeled_ids)], kept), (
        "rows stay what they are"
    )
    assert not held_out(labeled_rows(8), 4).any(), "a class of four labels keeps them all"
    hidden = set(rows.labeled_ids[kept].tolist())
    learned = learned_from(rows, 4)
    for own in (learned, bagged(learned, 4, 0)):
        drawn = {i for step in range(60) for i in own.labeled(step, 12)[0].tolist()}
        assert not drawn & hidden
        assert len(drawn) > 8


def test_the_weights_are_fitted_at_the_end_of_a_round_kept_and_used(monkeypatch: pytest.MonkeyPatch) -> None:
    c = config(model={"kind": "ensemble", "members": 2, "how": "seeds", "combine": "stacking"}, steps=3)
    rows = labeled_rows(20)
    state = Ensemble.create(c, 8, 1, 2)
    for _ in range(2):
        state.advance(rows, Alone())
    assert state.weights is None
    train_round(state, rows, Alone(), 1)
    assert state.weights is not None
    assert state.weights.tolist() != [0.5, 0.5]
    images = torch.from_numpy(rows.images.pixels(np.arange(7)))
    scorer = state.scorer()
    scores = scorer(images)
    torch.testing.assert_close(scores["probs"], combined(scores["committee"], state.weights))
    assert not torch.allclose(scores["probs"], scores["committee"].mean(1), atol=1e-3)
    assert torch.equal(read_scorer(scorer.to_bytes())(images)["probs"], scores["probs"])
    again = Ensemble.from_files(c, state.to_files(), expected=(8, 1, 2))
    assert again.weights is not None
    assert torch.equal(again.weights, state.weights)
    assert torch.equal(weights(again), weights(state))
    without, _ = train_round(Ensemble.create(c, 8, 1, 2), labeled_rows(2), Alone(), 3)
    assert without.weights is None, "nothing is held out of two labels"
    even = without.scorer()(images)
    torch.testing.assert_close(even["probs"], combined(even["committee"], torch.tensor([0.5, 0.5])))
