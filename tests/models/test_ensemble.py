"""An ensemble: whom its members learn from, what they say together, that an image is of one member, how it is kept."""

from typing import Any

import numpy as np
import pytest
import torch
from scipy.optimize import brentq
from training_case import ROWS, config, labeled_rows, trained, weights

from distal.communicator import Alone
from distal.errors import ConfigError
from distal.models import Ensemble, read_scorer
from distal.models.ensemble.model import chosen
from distal.models.ensemble.rows import Reweighted, bagged, boosted, boosting_weights, density_ratio, seeded
from distal.resolve import make_config
from distal.train import train_round


def ensemble(how: str, member: dict[str, Any] | None = None, **own: Any) -> Any:
    return config(model={"kind": "ensemble", "members": 2, "how": how, "member": member or {}, **own}, steps=8)


@pytest.mark.parametrize("how", ["bagging", "seeds", "boosting", "snapshots"])
def test_saved_restored_and_continued_equals_unbroken_bit_for_bit(how: str) -> None:
    c = ensemble(how, {"kind": "vae"} if how == "seeds" else None)
    unbroken, _ = trained(c, 14)
    restored = Ensemble.from_files(c, trained(c, 7)[0].to_files(), expected=(8, 1, 2))
    train_round(restored, labeled_rows(), Alone(), 7)
    assert torch.equal(weights(restored), weights(unbroken))
    assert restored.to_files() == unbroken.to_files()


def test_members_learn_from_other_weights_and_their_losses_are_means() -> None:
    state, losses = trained(ensemble("seeds"), 1)
    alone = [type(m).create(m.config, 8, 1, 2) for m in state.members]
    own = [m.advance(seeded(labeled_rows(), 4, i), Alone())["d"] for i, m in enumerate(alone)]
    assert losses["d"] == pytest.approx(float(own[0] + own[1]) / 2, rel=1e-5)
    first, second = (torch.cat([p.flatten() for p in m.G.parameters()]) for m in state.members)
    assert not torch.equal(first, second)


def test_boosting_updates_one_member_after_another_from_rows_that_are_weighed_anew() -> None:
    state, _ = trained(ensemble("boosting"), 8)
    assert [member.step for member in state.members] == [4, 4]
    assert len(state.reweighted.row_ids) > 100
    assert state.reweighted.weights.sum() == pytest.approx(1.0)


def test_snapshots_are_of_one_model_at_the_ends_of_its_falls() -> None:
    c = ensemble("snapshots")
    state, _ = trained(c, 8)
    assert [snapshot.step for snapshot in state.snapshots] == [4, 8]
    rates = []
    for _ in range(5):
        state.advance(labeled_rows(), Alone())
        rates.append(state.members[0].optimizers[0].param_groups[0]["lr"] / 5e-4)
    # alpha_0 / 2 (cos(pi t / 4) + 1) for t = 0 .. 3, and again from the beginning.
    assert rates == pytest.approx([1.0, 0.5 + 8**-0.5, 0.5, 0.5 - 8**-0.5, 1.0])
    assert [snapshot.step for snapshot in state.snapshots] == [8, 12]


def test_a_bootstrap_counts_unlabeled_rows_by_a_poisson_number_and_keeps_every_class() -> None:
    rows = labeled_rows(2)  # one label a class
    own = bagged(rows, 4, 0)
    _, labels = own.labeled(0, 40)
    assert set(labels.tolist()) == {0, 1}
    drawn = np.bincount(np.concatenate([own.unlabeled(step, 400) for step in range(100)]), minlength=ROWS)
    counts = drawn / drawn.sum() * ROWS
    share = [(np.abs(counts - k) < 0.5).mean() for k in range(3)]
    assert share == pytest.approx([0.368, 0.368, 0.184], abs=0.12)  # 200 rows: 3.5 standard errors
    assert not np.array_equal(own.unlabeled(0, 50), bagged(rows, 4, 1).unlabeled(0, 50))


def test_boosting_weights_solve_their_equation() -> None:
    h = np.random.default_rng(0).gamma(0.3, 4.0, 50)
    beta = 1 / 3

    def excess(level: float) -> float:
        return float(np.maximum(level - (1 - beta) * h, 0.0).sum() / (beta * len(h))) - 1.0

    level = brentq(excess, 0.0, 100.0)
    expected = np.maximum(level - (1 - beta) * h, 0.0) / (beta * len(h))
    np.testing.assert_allclose(boosting_weights(h, beta), expected, atol=1e-10)
    assert (expected == 0).any(), "rows that are drawn often enough are left out"
    np.testing.assert_allclose(boosting_weights(np.ones(5), beta), np.full(5, 0.2))


def test_the_ratio_of_densities_is_that_of_two_normal_distributions() -> None:
    draw = torch.Generator().manual_seed(0)
    real, drawn = (torch.randn(4000, 2, generator=draw, dtype=torch.float64) + shift for shift in (0.0, 1.0))
    # ln h = x . (1, 1) - 1 for means (0, 0) and (1, 1).
    expected = real.sum(1) - 1
    assert (density_ratio(real, drawn).log() - expected).abs().mean() < 0.15


def test_rows_that_the_members_before_never_draw_are_drawn_more() -> None:
    class Horizontal:
        """Draw stripes of one kind, and see both kinds."""

        def generate(self, latents: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
            return torch.from_numpy(labeled_rows().images.pixels(np.arange(len(labels)) * 2))

        def scorer(self) -> Any:
            return lambda images: {"embeddings": torch.stack([images.float().std(d).mean((1, 2)) for d in (2, 3)], 1)}

    rows = labeled_rows()
    reweighted = boosted(rows, [Horizontal()], 2, 5, 4, 1)  # type: ignore[list-item]
    odd = reweighted.row_ids % 2 == 1
    assert reweighted.weights[odd].sum() > 0.95
    assert (reweighted.of(rows, 4, 1).unlabeled(0, 200) % 2 == 1).mean() > 0.9
    held = Reweighted(np.array([3, 5]), np.array([0.5, 0.5])).of(rows, 4, 1)
    held.excluded = np.array([5])
    assert set(held.unlabeled(0, 20).tolist()) == {3}


def test_which_member_draws_is_a_function_of_the_latent_which_stays_standard_normal() -> None:
    latents = torch.randn(30_000, 3, generator=torch.Generator().manual_seed(0))
    which, inner = chosen(latents, 3)
    assert torch.bincount(which) / len(which) == pytest.approx(torch.full((3,), 1 / 3), abs=0.01)
    for member in range(3):
        mine = inner[which == member]
        assert mine.mean(0) == pytest.approx(torch.zeros(3), abs=0.04)
        assert mine.std(0) == pytest.approx(torch.ones(3), abs=0.03)
    assert torch.equal(chosen(latents[5:6], 3)[1], inner[5:6])
    state, _ = trained(ensemble("seeds"), 2)
    z, y = torch.randn(20, 64, generator=torch.Generator().manual_seed(1)), torch.arange(20) % 2
    own, inner = chosen(z, 2)
    images = state.generate(z, y)
    assert torch.equal(images[own == 1], state.members[1].generate(inner[own == 1], y[own == 1]))
    assert 0 < int((own == 1).sum()) < 20


@pytest.mark.parametrize("combine", ["averaging", "voting"])
def test_members_are_a_committee_whose_mean_or_votes_are_the_probabilities(combine: str) -> None:
    state, _ = trained(ensemble("seeds", combine=combine), 2)
    images = torch.from_numpy(labeled_rows().images.pixels(np.arange(7)))
    scorer = state.scorer()
    scores, alone = scorer(images), [member.scorer()(images) for member in state.members]
    committee = torch.stack([own["probs"] for own in alone], 1)
    assert torch.equal(scores["committee"], committee)
    votes = torch.eye(2)[committee.argmax(2)].mean(1)
    torch.testing.assert_close(scores["probs"], votes if combine == "voting" else committee.mean(1))
    assert scores["embeddings"].shape == (7, 16)
    again = read_scorer(scorer.to_bytes())(images)
    assert all(torch.equal(tensor, again[name]) for name, tensor in scores.items())


def test_a_members_section_is_checked_by_its_kind() -> None:
    def made(**own: Any) -> Any:
        return make_config({"model": {"kind": "ensemble", **own}})

    assert made(member={"kind": "vae", "beta": 0.5}).model.member.beta == 0.5
    with pytest.raises(ConfigError, match=r"model\.member: its beta: .*greater than or equal to 0; beta was -1"):
        made(member={"kind": "vae", "beta": -1})
    with pytest.raises(ConfigError, match=r"model\.member\.kind: unknown model 'vea'; did you mean 'vae'"):
        made(member={"kind": "vea"})
    with pytest.raises(ConfigError, match=r"unknown loss 'hinges'; did you mean 'hinge'"):
        made(member={"adversarial": "hinges"})
    with pytest.raises(ConfigError, match=r"model\.member\.kind: ensemble is an ensemble itself"):
        made(member={"kind": "ensemble"})
    with pytest.raises(ConfigError, match=r"8 members cannot share train\.steps=5 updates"):
        make_config({"model": {"kind": "ensemble", "members": 8, "how": "snapshots"}, "train": {"steps": 5}})
