"""Score a committed round again, without Ray: against other held-out images, with more samples or another extractor."""

from collections.abc import Sequence

from distal.checkpoints import open_generator
from distal.communicator import Alone
from distal.config import EVALUATION_CACHE
from distal.driver.preparation import Preparation
from distal.errors import ConfigError
from distal.metrics import Score
from distal.resolve import override_config
from distal.run.directory import RunDirectory


def evaluate_round(run: RunDirectory, overrides: Sequence[str], round: int | None = None) -> list[Score]:
    """Evaluate a committed round, the last one by default, under overrides of `evaluate` and of the pool's place.

    Raises:
        ConfigError: another override, or a wrong one. RunError: no such run or round, or the pool is another one, or
            the evaluation images are, which were not given anew.
    """
    for override in overrides:
        if not override.startswith(("evaluate.", "pool.path=", "pool.cache=")):
            raise ConfigError(
                f"'{override}': only keys under evaluate., pool.path and pool.cache can be overridden here.\n"
                f"Give for example evaluate.samples=5000; for another model, start another run."
            )
    generator = open_generator(run, round)
    opened = Preparation(override_config(generator.saved.config, overrides), run)
    own_reference = not any(override.startswith("evaluate.path=") for override in overrides)
    opened.require_same_images(run, generator.saved, own_reference)
    comm = Alone(generator.state.device)
    evaluator = opened.evaluator(run.beside(EVALUATION_CACHE))
    evaluator.prepare(comm)
    return evaluator.evaluate(generator.state.generate, generator.state.scorer(), comm)
