"""Grow a generative model from few labels: distributed active learning on Ray."""

from distal.config import Config
from distal.errors import (
    ClusterError,
    ConfigError,
    DistalError,
    EvaluationError,
    OracleError,
    PoolError,
    RunError,
    RunLockedError,
    StorageError,
    StrategyError,
    TrainingError,
)

__version__ = "0.1.0"

__all__ = [
    "ActiveLearner",
    "ClusterError",
    "Config",
    "ConfigError",
    "DistalError",
    "EvaluationError",
    "OracleError",
    "PoolError",
    "RunError",
    "RunLockedError",
    "StorageError",
    "StrategyError",
    "TrainingError",
    "__version__",
]


def __getattr__(name: str) -> object:
    """Import ActiveLearner when it is first asked for: the mathematics below it is usable without Ray."""
    if name == "ActiveLearner":
        from distal.learner import ActiveLearner

        return ActiveLearner
    raise AttributeError(f"module 'distal' has no attribute '{name}'")
