"""What the generator draws, seen as the pool is: statistics beside scikit-learn's, strategies through whole rounds."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from round_case import Run, contents
from sklearn.covariance import ledoit_wolf as reference

from distal.config import Config
from distal.errors import ConfigError
from distal.features import FEATURES, FeatureNetwork
from distal.pool.drawn import PER_CLASS, Drawn, draw, ledoit_wolf
from distal.run.ledger import Ledger, Query


def rows(n: int, width: int, seed: int = 0) -> torch.Tensor:
    draws = np.random.default_rng(seed)
    return torch.from_numpy(draws.standard_normal((n, width)) @ draws.standard_normal((width, width)))


@pytest.mark.parametrize(("n", "width"), [(5, 12), (40, 12), (4000, 3)])
def test_the_shrunk_covariance_is_scikit_learns(n: int, width: int) -> None:
    x = rows(n, width)
    mean, covariance = ledoit_wolf(x)
    expected, shrinkage = reference(x.numpy())
    assert 0.0 <= shrinkage <= 1.0
    np.testing.assert_allclose(covariance, expected, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(mean, x.numpy().mean(0), rtol=1e-12)


def test_rows_that_do_not_vary_have_no_covariance() -> None:
    _, covariance = ledoit_wolf(torch.ones(4, 3))
    assert covariance.tolist() == torch.zeros(3, 3).tolist()


def drawn_by(generate: Callable[[torch.Tensor, torch.Tensor], torch.Tensor], classes: list[int]) -> Drawn:
    return draw(generate, 4, np.array(classes), lambda images: images.float()[:, :, 0, 0], rows(20, 3).float())


def test_a_row_is_as_far_as_the_nearest_image_of_its_likeliest_class() -> None:
    def generate(latents: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return (latents[:, :3].abs() * 20 + labels[:, None] * 40).to(torch.uint8)[:, :, None, None]

    drawn = Drawn.from_bytes(drawn_by(generate, [0, 2]).to_bytes())
    assert len(drawn.labels) == 2 * PER_CLASS
    x = torch.tensor([[1.0, 2.0, 3.0], [80.0, 90.0, 70.0], [5.0, 5.0, 5.0]])
    probs = torch.tensor([[0.9, 0.05, 0.05], [0.2, 0.1, 0.7], [0.1, 0.8, 0.1]])
    found = drawn.distance(x, probs)
    for row, label in ((0, 0), (1, 2)):
        others = drawn.features[drawn.labels == label].double()
        assert float(found[row]) == pytest.approx(float((others - x[row].double()).norm(dim=1).min()), rel=1e-5)
    assert float(found[2]) == np.inf  # nothing was drawn for class 1


def test_rows_are_seen_as_what_is_drawn_is_from_the_pools_own_pixels(
    small_config: Callable[..., Config], monkeypatch: pytest.MonkeyPatch
) -> None:
    def side_of(images: torch.Tensor) -> torch.Tensor:
        return torch.full((len(images), 1), float(images.shape[-1]))

    monkeypatch.setitem(FEATURES.entries, "sided", lambda request: FeatureNetwork("sided", "", 1, 16, 1, side_of))
    run = Run(small_config(features={"network": "sided"}))
    rows = np.arange(3)
    sides = [np.concatenate(run.shards.look("raw", rows, as_drawn)).tolist() for as_drawn in (False, True)]
    assert sides == [[[16.0]] * 3, [[8.0]] * 3]


def test_a_run_asks_for_what_is_far_from_all_that_its_generator_draws(small_config: Callable[..., Config]) -> None:
    run = Run(small_config(classifier="probe", query={"batch": 20, "strategy": "coverage"}))
    run.go()
    query = asked_last(run, "coverage")
    assert np.isfinite(query.scores).all()
    assert (query.scores > 0.0).all()
    assert len(np.unique(query.scores)) > 1


def test_a_run_asks_by_the_slope_of_the_distance_whoever_classifies_and_a_resumed_one_asks_the_same(
    small_config: Callable[..., Config],
) -> None:
    slope = {"batch": 20, "strategy": "fid_gradient"}
    run, other = (Run(small_config(name=name, query=slope)) for name in ("unbroken-slope", "resumed-slope"))
    run.go()
    query = asked_last(run, "fid_gradient")
    assert np.isfinite(query.scores).all()
    assert len(np.unique(query.scores)) > 10
    other.go(lambda result: result.round < 1)
    Run(other.plan.config).go()
    assert contents(other.folder) == contents(run.folder)


def asked_last(run: Run, strategy: str) -> Query:
    """Return the second round's query, the first by the strategy: a generator that learned nothing tells nothing."""
    ledger = Ledger(run.directory)
    first, second = ledger.read_query(1), ledger.read_query(2)
    assert first is not None
    assert second is not None
    assert (first.strategy, second.strategy) == ("random", strategy)
    return second


@pytest.mark.parametrize(("strategy", "need"), [("coverage", "generated_distance"), ("fid_gradient", "features")])
def test_without_frozen_features_it_is_refused_in_words(
    small_config: Callable[..., Config], strategy: str, need: str
) -> None:
    with pytest.raises(ConfigError, match=rf"'{strategy}' needs '{need}'.*\nSet classifier=auto"):
        small_config(classifier="head", query={"strategy": strategy})
