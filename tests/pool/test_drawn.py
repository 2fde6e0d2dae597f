"""What the generator draws, seen as the pool is: statistics beside scikit-learn's, strategies through whole rounds."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from round_case import Run, contents
from sklearn.covariance import ledoit_wolf as reference

from distal.config import Config
from distal.errors import ConfigError
from distal.pool.drawn import PER_CLASS, Drawn, draw, ledoit_wolf
from distal.run.ledger import Ledger


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


@pytest.mark.parametrize(("strategy", "classifier"), [("coverage", "probe"), ("fid_gradient", "auto")])
def test_a_run_asks_by_what_the_generator_draws_once_it_has_learned(
    small_config: Callable[..., Config], strategy: str, classifier: str
) -> None:
    run = Run(small_config(classifier=classifier, query={"batch": 20, "strategy": strategy}))
    run.go()
    ledger = Ledger(run.directory)
    asked = [ledger.read_query(round) for round in (1, 2)]
    assert [query.strategy for query in asked if query] == ["random", strategy]
    assert asked[1] is not None
    assert np.isfinite(asked[1].scores).all()
    assert len(np.unique(asked[1].scores)) > 10


def test_a_resumed_run_asks_by_the_same_images(small_config: Callable[..., Config]) -> None:
    runs = []
    for name in ("unbroken", "resumed"):
        config = small_config(name=name, query={"batch": 20, "strategy": "fid_gradient"})
        runs.append(Run(config))
        runs[-1].go(lambda result, name=name: name == "unbroken" or result.round < 1)
    Run(runs[1].plan.config).go()
    assert contents(runs[1].folder) == contents(runs[0].folder)


@pytest.mark.parametrize(("strategy", "need"), [("coverage", "generated_distance"), ("fid_gradient", "features")])
def test_without_frozen_features_it_is_refused_in_words(
    small_config: Callable[..., Config], strategy: str, need: str
) -> None:
    with pytest.raises(ConfigError, match=rf"'{strategy}' needs '{need}'.*\nSet classifier=auto"):
        small_config(classifier="head", query={"strategy": strategy})
