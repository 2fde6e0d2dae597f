from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from metric_fakes import FakeImages, digits, on_ranks
from torch import Tensor

from distal.communicator import Alone
from distal.config import Config
from distal.errors import EvaluationError
from distal.features import FEATURES, FeatureNetwork, autoencoder_training
from distal.metrics import Evaluator, Score, pool_cnn_training
from distal.metrics.frechet import Gaussian, frechet_of_features
from distal.metrics.registry import FURTHER

PIXELS, LABELS = digits()
NAMES = list("0123456789")
POOLS = [torch.from_numpy(PIXELS[600:][LABELS[600:] == c]) for c in range(10)]


@pytest.fixture(autouse=True)
def few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool_cnn_training, "STEPS", (100, 100))


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def untrained(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the extractor of images that no other test has learn nothing: what is measured with it is not looked at."""
    monkeypatch.setattr(pool_cnn_training, "STEPS", (2, 2))


def evaluator(cache: Path, images: Any = None, rows: int = 360, **settings: Any) -> Evaluator:
    config = Config.model_validate({"evaluate": {"samples": 500, **settings}})
    names = NAMES if images is None or images.has_labels else []
    return Evaluator(config, images or FakeImages(PIXELS, LABELS), np.arange(rows), names, cache)


def real_digits(latents: Tensor, labels: Tensor) -> Tensor:
    """Be a perfect generator: real digits of the asked class, chosen by the latent."""
    picks = (latents[:, 0].abs() * 1e4).long()
    return torch.stack([POOLS[int(c)][int(p) % len(POOLS[int(c)])] for c, p in zip(labels, picks, strict=True)])


def noise(latents: Tensor, labels: Tensor) -> Tensor:
    return (latents.abs() * 100).clamp(0, 255).byte().reshape(-1, 1, 8, 8)


def value(scores: list[Score], name: str, class_name: str | None = None) -> float | None:
    return next(s.value for s in scores if s.name == name and s.class_name == class_name)


def test_real_images_score_well_and_noise_badly_on_every_measure(cache: Path) -> None:
    judge = evaluator(cache, metrics=[metric.name for metric in FURTHER])
    good, bad = judge.evaluate(real_digits, None, Alone()), judge.evaluate(noise, None, Alone())
    for name in ("fd", "kd", "cmmd", "mind"):
        assert value(good, f"{name}_pool-cnn") < 0.5 * value(bad, f"{name}_pool-cnn"), name
    for name in ("fd_pool-cnn_class_mean", "fd_pool-cnn_class_worst"):
        assert value(good, name) < 0.5 * value(bad, name), name
    for name in ("precision", "recall", "density", "coverage", "cas"):
        assert value(good, f"{name}_pool-cnn") > 2 * value(bad, f"{name}_pool-cnn"), name
    assert value(good, "inception_score") > value(bad, "inception_score")
    assert value(good, "agreement") > 0.8
    assert value(bad, "agreement") < 0.4


def test_a_class_that_is_drawn_the_same_way_again_and_again_has_a_diversity_near_zero(cache: Path) -> None:
    def collapsed(latents: Tensor, labels: Tensor) -> Tensor:
        images = real_digits(latents, labels)
        images[labels == 3] = POOLS[3][0]
        return images

    scores = evaluator(cache).evaluate(collapsed, None, Alone())
    assert value(scores, "diversity_pool-cnn_class", "3") < 0.01
    assert value(scores, "diversity_pool-cnn_class", "4") > 0.7
    worst = next(s for s in scores if s.name == "diversity_pool-cnn_class_worst")
    assert worst.note == "least diverse class: 3"


def test_distances_of_a_class_have_an_error_and_those_of_few_images_name_their_bias(cache: Path) -> None:
    scores = evaluator(cache, samples=200).evaluate(real_digits, None, Alone())
    for name in ("fd_pool-cnn_class", "kd_pool-cnn_class"):
        found = [s for s in scores if s.name == name]
        assert len(found) == 10
        assert all(s.error is not None and s.error > 0 for s in found)
    assert "biased upwards" in next(str(s.note) for s in scores if s.name == "fd_pool-cnn_class")


def test_what_cannot_be_compared_has_no_value_and_says_why(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("distal.metrics.metric.DENSITY_K", 400)
    scores = evaluator(cache, metrics=["coverage"]).evaluate(real_digits, None, Alone())
    coverage = next(s for s in scores if s.name == "coverage_pool-cnn")
    assert coverage.value is None
    assert coverage.note == "360 held-out and 500 generated images: it takes 401 of both"


def test_two_ranks_score_as_one(cache: Path) -> None:
    def work(comm: Any) -> list[Score]:
        every = [metric.name for metric in FURTHER]
        return evaluator(cache, metrics=every).evaluate(real_digits, by_brightness, comm)

    one, (first, second) = on_ranks(1, work)[0], on_ranks(2, work)
    assert first == second
    assert [s.name for s in first] == [s.name for s in one]
    for a, b in zip(first, one, strict=True):
        # The square root of rounded-off eigenvalues (1e-16 x 64) is what the order of sums can change.
        assert a.value == pytest.approx(b.value, rel=1e-6, abs=1e-6), a.name
        assert (a.error or 0.0) == pytest.approx(b.error or 0.0, rel=1e-5), a.name


def test_more_ranks_than_batches_score_as_one(cache: Path) -> None:
    def work(comm: Any) -> list[Score]:
        return evaluator(cache, samples=130).evaluate(real_digits, None, comm)

    one, many = on_ranks(1, work)[0], on_ranks(4, work)[3]
    assert value(many, "fd_pool-cnn") == pytest.approx(value(one, "fd_pool-cnn"), rel=1e-6)


def by_brightness(images: Tensor) -> dict[str, Tensor]:
    """Say class 0 with certainty."""
    return {"probs": torch.eye(10)[torch.zeros(len(images), dtype=torch.long)]}


def test_a_head_that_always_says_one_class_has_a_balanced_accuracy_of_one_tenth(cache: Path) -> None:
    scores = evaluator(cache).evaluate(real_digits, by_brightness, Alone())
    assert value(scores, "accuracy_balanced") == pytest.approx(0.1)
    assert value(scores, "accuracy") == pytest.approx(float((LABELS[:360] == 0).mean()))


def test_the_same_latents_come_every_time_and_labels_are_balanced(cache: Path) -> None:
    seen: list[tuple[Tensor, Tensor]] = []

    def listening(latents: Tensor, labels: Tensor) -> Tensor:
        seen.append((latents, labels))
        return noise(latents, labels)

    for seed in (0, 1):
        config = Config.model_validate({"seed": seed, "evaluate": {"samples": 200}})
        Evaluator(config, FakeImages(PIXELS, LABELS), np.arange(360), NAMES, cache).evaluate(listening, None, Alone())
    half = len(seen) // 2
    for (z, y), (again_z, again_y) in zip(seen[:half], seen[half:], strict=True):
        assert torch.equal(z, again_z)
        assert torch.equal(y, again_y)
    assert torch.bincount(torch.cat([y for _, y in seen[:half]])).tolist() == [20] * 10


def test_a_class_distance_is_that_of_its_images_alone(cache: Path) -> None:
    judge = evaluator(cache)
    scores = judge.evaluate(real_digits, None, Alone())
    extractor, _, _ = judge._prepared  # type: ignore[misc]
    images = torch.cat([real_digits(*batch) for batch in _batches(500)])
    labels = torch.arange(500) % 10
    reference = Gaussian.from_features(extractor(torch.from_numpy(PIXELS[:360][LABELS[:360] == 3])))
    expected = frechet_of_features(reference, extractor(images[labels == 3]))
    assert value(scores, "fd_pool-cnn_class", "3") == pytest.approx(expected, rel=1e-5)


def _batches(samples: int) -> list[tuple[Tensor, Tensor]]:
    from distal.metrics.samples import BATCH, evaluation_batch

    return [evaluation_batch(b, samples, 64, 10) for b in range(-(-samples // BATCH))]


@pytest.mark.usefixtures("untrained")
def test_a_class_with_too_few_held_out_images_has_no_distance_and_says_so(cache: Path) -> None:
    rare = np.flatnonzero((LABELS != 4) | (np.cumsum(LABELS == 4) <= 5))
    images = FakeImages(PIXELS[rare], LABELS[rare])
    scores = evaluator(cache, images).evaluate(real_digits, None, Alone())
    four = next(s for s in scores if s.name == "fd_pool-cnn_class" and s.class_name == "4")
    assert four.value is None
    assert four.note == "5 held-out images of the class, fewer than 10: no distance"
    mean = next(s for s in scores if s.name == "fd_pool-cnn_class_mean")
    assert mean.value is not None
    assert mean.note == "1 of 10 classes have no distance"


@pytest.mark.usefixtures("untrained")
def test_without_labels_the_scores_that_need_them_are_left_out_with_a_note(cache: Path) -> None:
    scores = evaluator(cache, FakeImages(PIXELS)).evaluate(noise, by_brightness, Alone())
    assert {s.name for s in scores} == {"fd_pool-cnn", "fd_pool-cnn_floor", "kd_pool-cnn"}
    assert "no labels" in str(scores[0].note)


@pytest.mark.usefixtures("untrained")
def test_with_labels_of_one_class_agreement_is_left_out_with_a_note(cache: Path) -> None:
    scores = evaluator(cache, FakeImages(PIXELS, np.zeros_like(LABELS))).evaluate(noise, None, Alone())
    assert "agreement" not in {s.name for s in scores}
    assert "all of one class" in str(scores[0].note)


def test_every_score_names_extractor_hash_and_counts(cache: Path) -> None:
    for score in evaluator(cache).evaluate(real_digits, by_brightness, Alone()):
        assert score.extractor in ("pool-cnn", "head")
        assert len(score.hash) == 64
        assert score.samples > 0
        assert score.reference_samples > 0


def test_the_goal_is_the_overall_distance(cache: Path) -> None:
    judge = evaluator(cache)
    scores = judge.evaluate(real_digits, None, Alone())
    assert judge.goal(scores) is scores[0]
    assert judge.goal(scores).name == "fd_pool-cnn"
    with pytest.raises(EvaluationError, match="No score is named"):
        judge.goal(scores[1:])


def with_extractor(patch: pytest.MonkeyPatch, features: Callable[[Tensor], Tensor]) -> None:
    network = FeatureNetwork("means", "00" * 32, 64, None, None, features)
    patch.setitem(FEATURES.entries, "means", lambda request: network)


def test_an_extractor_that_is_trained_learns_from_the_held_out_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(autoencoder_training, "STEPS", 1)
    judge = evaluator(tmp_path, FakeImages(PIXELS), extractor="autoencoder")
    assert judge.goal(judge.evaluate(real_digits, None, Alone())).name == "fd_autoencoder"


def test_a_diverged_generator_gets_no_distance_and_the_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def features(images: Tensor) -> Tensor:
        values = images.float().flatten(1)
        return torch.where(values.sum(1, keepdim=True) == 0, torch.nan, values)

    with_extractor(monkeypatch, features)
    judge = evaluator(tmp_path, FakeImages(PIXELS), extractor="means")
    scores = judge.evaluate(lambda z, y: torch.zeros(len(z), 1, 8, 8, dtype=torch.uint8), None, Alone())
    assert judge.goal(scores).value is None
    assert judge.goal(scores).note == "500 of 500 generated images have features that are NaN or infinite"


def test_a_head_that_is_not_finite_gets_no_accuracy_and_the_reason(cache: Path) -> None:
    scores = evaluator(cache).evaluate(
        real_digits, lambda images: {"probs": torch.full((len(images), 10), torch.nan)}, Alone()
    )
    accuracy = next(s for s in scores if s.name == "accuracy")
    assert accuracy.value is None
    assert "not finite on 360" in str(accuracy.note)


def test_a_reference_whose_features_are_not_finite_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with_extractor(monkeypatch, lambda images: torch.full((len(images), 3), torch.nan))
    with pytest.raises(EvaluationError, match="360 of 360 reference images"):
        evaluator(tmp_path, FakeImages(PIXELS), extractor="means").prepare(Alone())


def test_another_extractor_gives_distances_of_its_own_name_beside_the_judges_agreement(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_extractor(monkeypatch, lambda images: images.float().mean((1, 2), keepdim=False))
    scores = evaluator(cache, extractor="means").evaluate(real_digits, None, Alone())
    assert scores[0].name == "fd_means"
    assert {s.extractor for s in scores if s.name.startswith("agreement")} == {"pool-cnn"}


def test_images_that_are_not_uint8_are_refused(cache: Path) -> None:
    with pytest.raises(EvaluationError, match="must return uint8"):
        evaluator(cache).evaluate(lambda z, y: torch.zeros(len(z), 1, 8, 8), None, Alone())


def test_the_reference_is_told_of_before_and_while_it_is_described(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_extractor(monkeypatch, lambda images: images.float().mean((1, 2)))
    heard: list[tuple[str, int, int]] = []
    evaluator(tmp_path, FakeImages(PIXELS), extractor="means").prepare(Alone(), lambda *told: heard.append(told))
    assert heard[:2] == [("extractor", 0, 0), ("reference", 0, 360)]
    assert heard[-1] == ("reference", 360, 360)


def test_progress_reaches_the_number_of_samples(cache: Path) -> None:
    heard: list[tuple[int, int]] = []
    evaluator(cache).evaluate(noise, None, Alone(), lambda done, total: heard.append((done, total)))
    assert heard[-1] == (500, 500)
