"""Private updates: what they spend, that G sees D alone, that ranks and restarts change nothing, what is refused."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import frozen_fake
import numpy as np
import pytest
import torch
from metric_fakes import on_ranks
from round_case import Run
from training_case import ROWS, Stripes, config, labeled_rows, trained, weights

from distal.cli.status import describe_status
from distal.communicator import Alone
from distal.config import Config
from distal.errors import ConfigError
from distal.models import GAN
from distal.models.gan.conditions import condition
from distal.models.gan.step import Step, Views
from distal.report.write import write_report
from distal.resolve import make_config
from distal.train import TrainingRows, train_round

STILL = 1e-30


@pytest.fixture
def tiny() -> Iterator[None]:
    with frozen_fake.added():
        yield


def private(net: str = "dense", noise: float = 1.0, clip: float = 1.0, **changes: Any) -> Config:
    own = {"adversarial": "hinge", "regularizers": {}, "class_balance": 0.0, "reconstruction": 0.0}
    return config(net, **{**own, **changes}, model={"privacy": {"noise": noise, "clip": clip}})


def test_with_hardly_any_noise_and_no_bound_d_learns_by_the_mean_gradient_of_its_loss() -> None:
    c = private(noise=1e-9, clip=1e3, optimizer="sgd", learning_rate_d=0.1, learning_rate_g=STILL)
    state = GAN.create(c, 8, 1, 2)
    before = [p.detach().clone() for p in state.D.parameters()]
    batch = state._batch(labeled_rows(), Alone(), 0)
    step = Step(
        state.G, state.D, batch, condition(state.averaged_D, batch, 2, state.objective), state.objective, 0, Alone(), {}
    )
    with torch.no_grad():
        views = Views.of(step, step.generate())
    features = state.D.features(views.both)
    real, fake = state.D.logits(features, step.judged_together).chunk(2)
    n = len(batch.labels)
    head = torch.nn.functional.cross_entropy(state.D.classify(features[:n]), batch.labels, reduction="sum")
    loss = (torch.relu(1 - real) + torch.relu(1 + fake)).sum() / 12 + head / 3  # nothing is sure enough to be guessed
    expected = torch.autograd.grad(loss, list(state.D.parameters()))
    state.advance(labeled_rows(), Alone())
    assert 0 < n < len(batch.images) != 12, "rows come by chance"
    for was, p, gradient in zip(before, state.D.parameters(), expected, strict=True):
        torch.testing.assert_close(p.detach(), was - 0.1 * gradient, rtol=1e-4, atol=1e-6)


def test_rows_move_d_no_further_than_the_bound_and_noise_moves_it_as_far_as_it_should() -> None:
    def moved(noise: float, clip: float) -> torch.Tensor:
        c = private(noise=noise, clip=clip, optimizer="sgd", learning_rate_d=1.0, learning_rate_g=STILL)
        before, (after, losses) = GAN.create(c, 8, 1, 2), trained(c, 1)
        assert losses["clipped"] > 0.5
        flat = [torch.cat([p.detach().flatten() for p in s.D.parameters()]) for s in (before, after)]
        return flat[1] - flat[0]

    assert 0 < moved(1e-9, 0.01).norm() < 0.01 * ROWS / 12
    assert moved(100.0, 0.01).std().item() == pytest.approx(100 * 0.01 / 12, rel=0.05)


@pytest.mark.parametrize("net", ["dense", "projected"])
def test_g_learns_nothing_of_the_rows_but_through_d(net: str, tiny: None) -> None:
    class Others(Stripes):
        def pixels(self, row_ids: np.ndarray) -> np.ndarray:
            return 255 - super().pixels(row_ids)

    still = private(net, learning_rate_d=STILL, **({"backbone": "tiny"} if net == "projected" else {}))
    ids = np.arange(9)
    other = TrainingRows(Others(), ROWS, ids[:0], None, ids, 1 - ids % 2, seed=4)
    made, mine = (train_round(GAN.create(still, 8, 1, 2), rows, Alone(), 3)[0] for rows in (other, labeled_rows(6)))
    assert all(
        torch.equal(a, b) for a, b in zip(made.G.state_dict().values(), mine.G.state_dict().values(), strict=True)
    )
    begun = GAN.create(still, 8, 1, 2)
    assert not all(torch.equal(a, b) for a, b in zip(made.G.parameters(), begun.G.parameters(), strict=True))


@pytest.mark.parametrize("net", ["dense", "residual", "projected"])
def test_two_ranks_equal_one_and_a_run_that_was_broken_off_an_unbroken_one(net: str) -> None:
    with frozen_fake.added():
        own = {"backbone": "tiny"} if net == "projected" else {"spectral_norm": net == "residual"}
        c = private(net, optimizer="sgd", learning_rate_d=0.05, learning_rate_g=0.05, d_steps=2, **own)
        alone, _ = trained(c, 3)
        fresh = [GAN.create(c, 8, 1, 2) for _ in range(2)]  # in one thread: some layers begin by torch's own generator
        for state, _ in on_ranks(2, lambda comm: train_round(fresh[comm.rank], labeled_rows(), comm, 3)):
            torch.testing.assert_close(weights(state), weights(alone), rtol=1e-4, atol=1e-6)
        restored = GAN.from_files(c, trained(c, 1)[0].to_files(), expected=(8, 1, 2))
        again, _ = train_round(restored, labeled_rows(), Alone(), 2)
        assert again.to_files() == alone.to_files()
        assert alone.spent()["updates"] == 6


def test_each_row_is_in_a_batch_once_or_not_at_all_by_its_own_chance() -> None:
    rows = labeled_rows(10)
    assert rows.rates(12, 3) == (0.3, 9 / ROWS)
    counts, labeled, sizes = np.zeros(ROWS), np.zeros(ROWS), set()
    for step in range(2000):
        ids, labels, others = rows.by_chance(step, 12, 3)
        assert np.array_equal(labels, ids % 2)
        assert len({*ids.tolist(), *others.tolist()}) == len(ids) + len(others)
        labeled[ids] += 1
        counts[others] += 1
        sizes.add(len(ids) + len(others))
    assert counts[:10].sum() == 0 == labeled[10:].sum()
    assert labeled[:10] / 2000 == pytest.approx(np.full(10, 0.3), abs=0.05)
    assert counts[10:] / 2000 == pytest.approx(np.full(ROWS - 10, 9 / ROWS), abs=0.025)
    assert len(sizes) > 8


def test_a_batch_that_nobody_came_into_is_noise_alone() -> None:
    c = private(batch_size=2, learning_rate_g=STILL)

    class Few(Stripes):
        """Stripes that can be asked for none, as a pool can."""

        def pixels(self, row_ids: np.ndarray) -> np.ndarray:
            return super().pixels(row_ids) if len(row_ids) else np.zeros((0, 1, 8, 8), np.uint8)

    ids = np.zeros(0, np.int64)
    rows = TrainingRows(Few(), ROWS, ids, None, ids, ids, seed=4)
    sizes = [rows.slice(step, 2, 0, 0, 1, chance=True).total for step in range(100)]
    state = GAN.create(c, 8, 1, 2)
    state.step = sizes.index(0)
    before = torch.cat([p.detach().flatten() for p in state.D.parameters()])
    losses = state.advance(rows, Alone())
    assert losses["d"] == 0
    assert not torch.equal(torch.cat([p.detach().flatten() for p in state.D.parameters()]), before)


def test_what_would_see_rows_beside_the_noise_is_refused_by_name_with_what_mends_it() -> None:
    fine = {"adversarial": "hinge", "regularizers": {}, "privacy": {"noise": 1.0}}

    def made(model: dict[str, Any] | None = None, train: dict[str, Any] | None = None, **tree: Any) -> Config:
        plain = {"seed": 2**40, "train": {"class_balance": 0.0, **(train or {})}, "model": fine | (model or {})}
        return make_config(plain | tree)

    assert made().model.privacy.noise == 1.0
    wrong: list[tuple[str, Callable[[], Config]]] = [
        (r"looks at real images", partial(made, {"adversarial": "rpgan"})),
        (r"looks at real images", partial(made, {"adversarial": "relativistic_average"})),
        (
            r"r1, lecam would see.*\n?.*regularizers='\{r1: 0, lecam: 0\}'",
            partial(made, {"regularizers": {"r1": None, "lecam": 1}}),
        ),
        (r"model\.reconstruction=0", partial(made, net={"name": "projected"})),
        (r"balance", partial(made, {"balance": {"knob": "learning_rate_d"}})),
        (r"latent_optimization", partial(made, {"latents": "latent_optimization"})),
        (r"class_balance=0", partial(made, train={"class_balance": 1.0})),
        (r"full_labels=false", partial(made, train={"full_labels": True})),
        (r"accumulate=1", partial(made, train={"accumulate": 2})),
        (r"on_divergence=stop", partial(made, train={"on_divergence": "restore"})),
        (r"query\.synthesize=0", partial(made, query={"synthesize": 0.5})),
        (r"0 can be guessed", partial(made, seed=0)),
        (r"members spend adds up", partial(make_config, {"model": {"kind": "ensemble", "member": fine}})),
    ]
    for words, make in wrong:
        with pytest.raises(ConfigError, match=words):
            make()
    with pytest.raises(ConfigError, match="BatchNorm"):
        GAN.create(private("dcgan"), 16, 1, 2)


def test_a_run_says_what_it_spent_in_its_metrics_its_status_and_its_report(small_config: Callable[..., Config]) -> None:
    own = {"adversarial": "hinge", "regularizers": {}, "privacy": {"noise": 1.0, "delta": 1e-4}}
    base = small_config(rounds=1)
    train = base.train.model_copy(update={"class_balance": 0.0})
    made = make_config({"seed": 2**40 + 7, "model": own, "train": {"class_balance": 0.0}})
    run = Run(base.model_copy(update={"seed": made.seed, "train": train, "model": made.model}))
    results: list[Any] = []
    run.go(on_commit=lambda result: results.append(result) or True)
    spent = [result.metrics["privacy"] for result in results]
    assert spent[-1]["updates"] == train.steps * len(results)
    assert 0 < spent[0]["epsilon_others"] <= spent[-1]["epsilon_others"] < spent[-1]["epsilon_labeled"]
    assert f"epsilon {spent[-1]['epsilon_labeled']:.3g} for a labeled image" in describe_status(run.directory)
    page = Path(write_report(run.directory, None, run.plan.classes).removeprefix("file://")).read_text()
    assert f"{spent[-1]['epsilon_others']:.3g} for any other" in page
    assert "Not covered" in page
    assert str(made.seed) not in page
    assert "seed: (not shown)" in page
