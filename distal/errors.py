"""Say what went wrong, where, what was expected and what to do.

    DistalError
    ├── ConfigError        a key of the configuration is unknown or its value is refused
    ├── PoolError          images or rows cannot be read as asked
    │   └── ChangedPoolError a file whose rows a run has numbered is gone or another
    ├── OracleError        an oracle failed, or an answer cannot be taken
    ├── StorageError       the run directory cannot be written or read
    │   └── StorageAwayError an object store does not answer, or fails for now
    ├── RunError           the run directory does not fit what is asked of it
    │   └── RunLockedError another driver holds the run
    ├── TrainingError      an update went wrong (losses not finite, workers lost)
    ├── EvaluationError    a score cannot be computed
    │   └── UntrainedError a network that is trained on the pool has not been
    ├── StrategyError      a query strategy's own code failed
    └── ClusterError       Ray cannot give what the run needs

Every message has at most three lines. `distal` prints it without a traceback and exits with `exit_code`.
"""

from collections.abc import Iterable
from difflib import get_close_matches


class DistalError(Exception):
    """Stand at the root of every error that distal raises on purpose."""

    exit_code = 1
    on_every_rank = False
    """Whether all ranks of a training group raise this error together, so that none waits for another."""


class ConfigError(DistalError):
    """Refuse a configuration: the key, what was given, what is allowed."""

    exit_code = 2


class PoolError(DistalError):
    """Refuse a pool, a file or a row that cannot be read as asked."""

    exit_code = 3


class ChangedPoolError(PoolError):
    """Refuse a pool that lacks a file whose rows a run has numbered, or has another under its name."""


class OracleError(DistalError):
    """Report an oracle that failed or an answer that cannot be taken."""

    exit_code = 4


class StorageError(DistalError):
    """Report storage that cannot be read or written."""

    exit_code = 5


class StorageAwayError(StorageError):
    """Report a store that does not answer, or says that it fails for now."""


class RunError(DistalError):
    """Report a run directory that does not fit what is asked of it."""

    exit_code = 6


class RunLockedError(RunError):
    """Refuse a second driver on one run directory."""


class TrainingError(DistalError):
    """Report an update that went wrong."""

    exit_code = 7


class EvaluationError(DistalError):
    """Report a score that cannot be computed."""

    exit_code = 8


class UntrainedError(EvaluationError):
    """Say that a frozen network has to be trained on the pool first, and was not."""


class ClusterError(DistalError):
    """Report a Ray cluster that cannot give what the run needs."""

    exit_code = 9


class StrategyError(DistalError):
    """Report a query strategy whose own code failed."""

    exit_code = 10


def nearest_name(given: str, known: Iterable[str]) -> str:
    """Return a hint such as ``did you mean 'margin'?``, or an empty string where nothing is near."""
    close = get_close_matches(given, list(known), n=1, cutoff=0.5)
    return f"did you mean '{close[0]}'?" if close else ""
