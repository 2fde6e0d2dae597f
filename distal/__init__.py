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
from distal.version import __version__

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
    "connect",
    "tune",
]


def __getattr__(name: str) -> object:
    """Import what needs Ray when it is first asked for: the mathematics below it is usable without."""
    if name == "ActiveLearner":
        from distal.learner import ActiveLearner

        return ActiveLearner
    if name == "connect":
        from distal.cluster import connect

        return connect
    if name == "tune":
        from distal.sweep.tuner import tune

        return tune
    raise AttributeError(f"module 'distal' has no attribute '{name}'")
