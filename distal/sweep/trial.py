"""Run one trial: a whole active-learning run at one point, a committed round at a time, in Tune's actor.

A trial's state is its run directory. Whoever makes the trial again, after a kill, a lost node or `--resume`, first
hears the committed rounds again, which costs nothing and shows the scheduler what it saw before, and then goes on.
"""

import itertools
import json
import logging
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from ray import tune

from distal.checkpoints import read_saved
from distal.config import Config
from distal.data.references import FILE as REFERENCES
from distal.data.tables import TABLES
from distal.driver.learner import ActiveLearner
from distal.errors import ClusterError, DistalError, RunLockedError, StorageError, TrainingError
from distal.resolve import flatten, make_config, with_values
from distal.run.directory import RunDirectory
from distal.run.results import RoundResult
from distal.sweep.config import SILENT_S
from distal.sweep.lineage import adopt, generations
from distal.sweep.objective import worst
from distal.sweep.resolve import SWEEP
from distal.sweep.silence import end_process, watched
from distal.sweep.space import Point
from distal.sweep.trials import (
    ENDED,
    TRIAL,
    TRIALS,
    curve_of,
    read_note,
    read_results,
    read_trial,
    trial_name,
    write_note,
)

logger = logging.getLogger(__name__)

LOCK_NOTICE_S = 60
"""How often a trial that waits for its run directory says so."""

POINTER = "run.json"


@dataclass(frozen=True)
class TrialJob:
    """Hold what all trials of a sweep share.

    directory: the sweep's. mark: the bytes of its sweep.yaml, by which a node knows that it sees the same folder.
    base: configuration of the runs, with the resources that a trial has. grace: labels asked before a trial may be
    given up. silent_s: seconds without a sign of work after which a trial has failed. launch: names this launch of the
    sweep: what hung in it is not begun again before the next.
    """

    directory: RunDirectory
    mark: bytes
    base: Config
    metric: str
    mode: str
    smoothing: float
    grace: int
    silent_s: float = SILENT_S
    launch: str = ""


class SweepTrial(tune.Trainable):  # type: ignore[misc]
    """Step through the committed rounds of one run.

    Tune's configuration of a trial is ``{"point": {key: value}, "seed": int, "number": int, "population": bool}``:
    the number in the order of beginning, and whether trials are members of a population that trains as one.
    """

    def setup(self, config: dict[str, Any], job: TrialJob) -> None:
        """Begin the trial, or take it up where its run directory says."""
        self._job = job
        with watched(job.silent_s, self._end_hung):
            self._attempt(self._begin, config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Begin another trial in this process, whose start is paid."""
        with watched(self._job.silent_s, self._end_hung):
            self.cleanup()
            self._attempt(self._begin, new_config)
        return True

    def step(self) -> dict[str, Any]:
        """Return the next committed round that trains: one that is on disk already, or one that is run now."""
        with watched(self._job.silent_s, self._end_hung):
            return self._next()

    def _next(self) -> dict[str, Any]:
        try:
            if self._refusal is not None:
                raise self._refusal
            result = next(self._rounds, None)
            if result is not None:
                self._results.append(result)
            ended = result is None or result.round >= self._config.rounds
            if ended:
                for _ in self._rounds:  # lets the run write why it ended, and its report
                    raise TrainingError("a run went on after its last round")
                if read_note(self._run, ENDED) is None:
                    write_note(self._run, ENDED, {"state": "finished", "reason": self._reason()})
            return self._report(ended)
        except StorageError as error:
            return self._report(True) | {"fatal": str(error)}
        except ClusterError:
            raise  # a node was lost: Tune begins the trial again elsewhere
        except DistalError as error:
            return self._fail(str(error))
        except Exception as error:  # noqa: BLE001 - a trial's own fault must not be tried again, nor end the sweep
            logger.warning("a trial failed:\n%s", traceback.format_exc())
            return self._fail(f"{type(error).__name__}: {error}")

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Write where the run is: its files are its state."""
        with open(f"{checkpoint_dir}/{POINTER}", "w", encoding="utf-8") as file:
            json.dump({"trial": self._run.name, "round": _last(self._results)}, file)

    def load_checkpoint(self, checkpoint_dir: str) -> None:
        """Take up a run: this trial's own after a pause, or another's, which a population's member takes over."""
        with open(f"{checkpoint_dir}/{POINTER}", encoding="utf-8") as file:
            pointer = json.load(file)
        self._attempt(self._take_up, pointer)

    def cleanup(self) -> None:
        """Leave nothing behind: end the run's threads, workers and shards, and give its lock back."""
        self._close()

    def _attempt(self, action: Callable[[dict[str, Any]], None], argument: dict[str, Any]) -> None:
        """Keep what refuses for the next step, which can say it: out of here Tune would take it for a dead process."""
        self._refusal: DistalError | None = None
        self._results: list[RoundResult] = []
        try:
            action(argument)
        except DistalError as error:
            self._refusal = error

    def _take_up(self, pointer: dict[str, Any]) -> None:
        self._close()
        point = self._point
        note = read_trial(self._run, point)
        if self._member is not None and len(self._run.committed()) > pointer["round"]:
            # A population that was interrupted hears its old rounds, and exchanges, again. This member has made that
            # exchange and gone on; its rounds are not thrown away.
            self._take(self._run, note["point"])
        elif self._member is not None and (pointer["trial"] != self._run.name or note["point"] != point):
            source = self._job.directory.inside(TRIALS, pointer["trial"])
            self._take(adopt(self._job.directory, source, pointer["round"], self._member, point), point)
        self._open(skip=pointer["round"])

    def _begin(self, config: dict[str, Any]) -> None:
        job = self._job
        config = config.get("trial", config)  # Tune's grid nests them
        self._point: Point = config["point"]
        # Not from the configuration, which a member takes over from another whole: Tune counts trials in their ids.
        self._member = f"member-{int(self.trial_id.rpartition('_')[2]):03d}" if config["population"] else None
        self._run = job.directory.inside(TRIALS, self._member or trial_name(self._point, int(config["seed"])))
        if not (job.directory.has(SWEEP) and job.directory.read(SWEEP) == job.mark):
            raise StorageError(
                f"storage: {job.directory.uri} on this node is not the folder in which the sweep was begun.\n"
                "Use a folder that all nodes share, or a URI such as s3://bucket/sweeps."
            )
        self._seed = seed = int(config["seed"])
        run = self._run
        if self._member and (begun := generations(job.directory, self._member)):
            run = begun[-1]
        if read_note(run, TRIAL) is None:
            note = {"point": self._point, "seed": seed, "number": config["number"], "begun": time.time()}
            write_note(run, TRIAL, note)
        for name in (REFERENCES, TABLES):  # the tables are closed: trials are compared on one pool
            if not run.has(TABLES) and job.directory.has(name):
                run.write(name, job.directory.read(name))
        self._take(run, self._point)
        self._open(skip=0)

    def _take(self, run: RunDirectory, point: Point) -> None:
        storage = run.storage if run.local is None else str(run.local.parent)
        self._run, self._point = run, point
        own = {"seed": self._seed, "name": run.name, "storage": storage}
        self._config = make_config(with_values(self._job.base, {**point, **own}))

    def _open(self, skip: int) -> None:
        """Begin to step: rounds up to `skip` are known to Tune, later ones on disk are shown to it, others are run."""
        self._results = [result for result in read_results(self._run) if result.round <= skip]
        self._rounds = self._all_rounds()

    def _all_rounds(self) -> Iterator[RoundResult]:
        ended = read_note(self._run, ENDED) or {}
        hung = ended.get("state") == "failed" and self._job.launch and ended.get("launch") == self._job.launch
        if ended.get("state") == "failed" and not hung:
            # Begun anew: what it failed of may be mended. Not before the first step: Tune starts a process with a
            # trial's configuration and may have stepped that trial in another one by then.
            self._run.delete(ENDED)
        for waited in itertools.count():
            known = _last(self._results)
            yield from (result for result in read_results(self._run) if result.round > known)
            if hung:
                raise TrainingError(ended["reason"])
            if (read_note(self._run, ENDED) or {}).get("state") in ("finished", "stopped"):
                return
            learner = ActiveLearner(self._config)
            rounds = learner.rounds()
            try:
                for result in rounds:
                    self._require_reached()
                    if result.trained:
                        yield result
                return
            except RunLockedError as error:
                # A predecessor that is being killed, or another trial that drew the same point: its rounds are ours.
                if waited % LOCK_NOTICE_S == 0:
                    logger.warning("a trial waits: %s", str(error).splitlines()[0])
                time.sleep(1.0)
            finally:
                rounds.close()

    def _require_reached(self) -> None:
        """Require each searched value to stand in the configuration that the run itself wrote down."""
        values = flatten(read_saved(self._run).given)
        for key, value in self._point.items():
            if values.get(key) != value:
                raise TrainingError(
                    f"the searched value {key}={value} did not reach its run, which has {values.get(key)}"
                )

    def _report(self, ended: bool) -> dict[str, Any]:
        job = self._job
        curve = curve_of(self._results, job.metric, job.mode, job.smoothing)
        last = curve[-1] if curve else None
        return {
            "objective": last.objective if last else worst(job.mode),
            "value": last.value if last else None,
            "distance": last.scores["distance"] if last else None,
            "asked": last.asked if last else 0,
            "round": last.round if last else 0,
            "seconds": last.seconds if last else 0.0,
            "graces": (last.asked if last else 0) // job.grace,
            "trial_run": self._run.name,
            "ended": ended,
            "done": ended,
        }

    def _fail(self, reason: str) -> dict[str, Any]:
        try:
            write_note(self._run, ENDED, {"state": "failed", "reason": reason})
        except StorageError as error:
            return self._report(True) | {"fatal": str(error)}
        return self._report(True) | {"objective": worst(self._job.mode), "failed": reason}

    def _end_hung(self, where: str) -> None:
        """Note that this trial has failed, and end its process: Tune begins it anew, and hears of it then."""
        reason = (
            f"no sign of work for {self._job.silent_s:g} s, {where}.\n"
            "Mend what it waits for, or raise silent_s where that takes so long; --resume begins the trial again."
        )
        logger.warning("a trial hangs: %s", reason)
        note = {"state": "failed", "reason": reason, "launch": self._job.launch}
        run = getattr(self, "_run", None)
        end_process(lambda: None if run is None else write_note(run, ENDED, note))

    def _reason(self) -> str:
        stopped = read_note(self._run, "stopped.json") or {}
        return str(stopped.get("message", "all rounds are done"))

    def _close(self) -> None:
        rounds = getattr(self, "_rounds", None)
        if rounds is not None:
            rounds.close()


def _last(results: list[RoundResult]) -> int:
    return results[-1].round if results else 0
