"""Trials for Tune's own controller that train nothing: their runs write made-up rounds, everything else is real."""

import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from resolved_facts import RESOLVED
from sweep_folders import write_round

from distal.config import Config
from distal.errors import TrainingError
from distal.resolve import print_config
from distal.run.directory import RunDirectory
from distal.run.results import RoundResult
from distal.sweep import trial
from distal.sweep.trial import SweepTrial, TrialJob
from distal.sweep.trials import read_results

FAILING, FAILS_AT = "member-002", 2
HANGING, HANGS_AT, MENDED = 1e-9, 3, "mended"
"""The rate of a run that hangs, the round in which it does, and the file beside the runs that ends it."""

PAUSE_S = 0.2
"""How long a round takes, in which nothing is computed."""

BALLAST = bytes(2**20)


class WrittenRun:
    """Commit the rounds that are left, a megabyte each, as a learner would: the higher the rate, the better.

    The runs of one member of a population fail in a round.
    """

    def __init__(self, config: Config) -> None:
        self._config = config

    def rounds(self) -> Iterator[RoundResult]:
        config = self._config
        run = RunDirectory.open(config.storage, config.name)
        run.write("config.yaml", print_config(config, RESOLVED).encode())
        rate = -math.log10(config.model.learning_rate_g)
        for number in range(len(run.committed()) + 1, config.rounds + 1):
            if number >= FAILS_AT and config.name.startswith(FAILING):
                raise TrainingError("the loss is not finite")
            hangs = config.model.learning_rate_g == HANGING and number == HANGS_AT
            time.sleep(3600 if hangs and not Path(config.storage, MENDED).exists() else PAUSE_S)
            run.write(f"rounds/{number:04d}/samples.png", BALLAST)
            write_round(run, config, number, 100.0 * rate / number)
            yield read_results(run)[-1]


class WrittenTrial(SweepTrial):
    """Be a trial in Tune's actor, of which only the learner is another."""

    def setup(self, config: dict[str, Any], job: TrialJob) -> None:
        trial.ActiveLearner = WrittenRun  # type: ignore[assignment,misc]  # in this trial's own process
        super().setup(config, job)
