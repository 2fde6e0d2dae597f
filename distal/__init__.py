"""Grow a generative model from few labels: distributed active learning on Ray."""

import os
from importlib import import_module
from typing import TYPE_CHECKING

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
from distal.progress import Event
from distal.version import __version__

if TYPE_CHECKING:
    from distal.cli.display import show_progress
    from distal.driver.cluster import connect
    from distal.driver.learner import ActiveLearner
    from distal.notebook.labeling import label_widget
    from distal.oracle import Asked, Item
    from distal.query import View, score_strategy
    from distal.run.ledger import Answer, Query
    from distal.run.results import RoundResult
    from distal.stopping import Outcome
    from distal.sweep.tuner import tune

# A thread that waits for another at the end of a layer spins some microseconds, then sleeps and leaves its core to who
# wants it. By libgomp's own default it spins some milliseconds, and beside two busy processes a step takes twice as
# long (benchmarks/waiting_threads.py). Read when torch is loaded.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")

__all__ = [
    "ActiveLearner",
    "Answer",
    "Asked",
    "ClusterError",
    "Config",
    "ConfigError",
    "DistalError",
    "EvaluationError",
    "Event",
    "Item",
    "OracleError",
    "Outcome",
    "PoolError",
    "Query",
    "RoundResult",
    "RunError",
    "RunLockedError",
    "StorageError",
    "StrategyError",
    "TrainingError",
    "View",
    "__version__",
    "connect",
    "label_widget",
    "score_strategy",
    "show_progress",
    "tune",
]

if not TYPE_CHECKING:  # a type checker that saw a __getattr__ would take any name for one of ours
    _PLACES = {
        "ActiveLearner": "distal.driver.learner",
        "Answer": "distal.run.ledger",
        "Asked": "distal.oracle",
        "Item": "distal.oracle",
        "Outcome": "distal.stopping",
        "Query": "distal.run.ledger",
        "RoundResult": "distal.run.results",
        "View": "distal.query",
        "connect": "distal.driver.cluster",
        "label_widget": "distal.notebook.labeling",
        "score_strategy": "distal.query",
        "show_progress": "distal.cli.display",
        "tune": "distal.sweep.tuner",
    }

    def __getattr__(name: str) -> object:
        """Import what needs Ray or torch when it is first asked for: the rest is usable without."""
        if name not in _PLACES:
            raise AttributeError(f"module 'distal' has no attribute '{name}'")
        return getattr(import_module(_PLACES[name]), name)

    def __dir__() -> list[str]:
        """List the public names, those that are not imported yet as well."""
        return sorted({*globals(), *__all__})
