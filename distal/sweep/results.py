"""Read what a sweep came to: its trials, their ranking, the best configuration; as objects, a table and files."""

from __future__ import annotations

import io
import statistics
from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from distal.checkpoints import read_saved
from distal.config import Config
from distal.errors import RunError
from distal.resolve import flatten, make_config, print_config, with_values
from distal.run.directory import RunDirectory
from distal.sweep.config import SweepConfig
from distal.sweep.lineage import current_runs
from distal.sweep.objective import WORST, direction
from distal.sweep.space import Point, describe_point, point_id
from distal.sweep.trials import ENDED, Trial, curve_of, read_note, read_results, read_trial

if TYPE_CHECKING:
    import pandas


@dataclass(frozen=True)
class Candidate:
    """Hold one point of the space with its trials, one a seed.

    objective: the mean over its trials of the last value that was compared; a trial that was stopped stands at the
    value that it was stopped at. finished: whether it was tried under every seed, and each trial came to its end.
    """

    point: Point
    trials: tuple[Trial, ...]
    objective: float
    finished: bool

    @property
    def asked(self) -> int:
        """Return the labels that the trial which came least far had asked for: values at fewer labels are larger."""
        return min(trial.last.asked for trial in self.trials if trial.last is not None)

    def __str__(self) -> str:
        return describe_point(self.point)


class Results:
    """Hold a sweep's trials and what follows from them.

    Attributes:
        sweep: the sweep's configuration. base: of its runs. trials: in the order in which they were begun.
    """

    def __init__(self, sweep: SweepConfig, base: Config, trials: list[Trial], directory: RunDirectory) -> None:
        self.sweep, self.base, self.trials, self.directory = sweep, base, trials, directory
        self.mode = direction(sweep.metric, sweep.mode, base.evaluate)

    @classmethod
    def read(cls, directory: RunDirectory) -> Results:
        """Read a sweep's directory, in whatever state the sweep is.

        Raises:
            RunError: there is no sweep here. StorageError: a file of a trial is damaged.
        """
        from distal.sweep.resolve import read_saved_sweep

        sweep, base = read_saved_sweep(directory)
        mode = direction(sweep.metric, sweep.mode, base.evaluate)
        found = []
        for run in current_runs(directory):
            note = read_trial(run, sweep.space)
            found.append((note["number"], note["begun"], _read_trial(run, note, sweep, mode)))
        return cls(sweep, base, [trial for *_, trial in sorted(found, key=lambda each: each[:2])], directory)

    @cached_property
    def ranking(self) -> list[Candidate]:
        """Return the points, the best first: those whose trials all came to their end, then those that got farthest.

        Points of which a trial failed, or that have no value, are not ranked.
        """
        trials: dict[str, list[Trial]] = defaultdict(list)
        for trial in self.trials:
            same_point = trial.name if self.sweep.early_stop.scheduler == "pbt" else point_id(trial.point)
            trials[same_point].append(trial)
        candidates = []
        for same in trials.values():
            last = [trial.last for trial in same if trial.last is not None and trial.state != "failed"]
            if len(last) < len(same) or any(abs(point.objective) >= WORST for point in last):
                continue
            tried = {trial.seed for trial in same} == set(self.sweep.seeds)
            finished = tried and all(trial.state == "finished" for trial in same)
            objective = statistics.fmean(point.objective for point in last)
            candidates.append(Candidate(same[0].point, tuple(same), objective, finished))
        sign = 1.0 if self.mode == "min" else -1.0
        return sorted(candidates, key=lambda c: (not c.finished, -c.asked, sign * c.objective))

    @property
    def best(self) -> Candidate:
        """Return the best point.

        Raises:
            RunError: no trial has a value.
        """
        if not self.ranking:
            states = ", ".join(sorted({trial.state for trial in self.trials})) or "none was begun"
            raise RunError(
                f"{self.directory.uri}: no trial has a value of '{self.sweep.metric}' ({states}).\n"
                f"See {self.directory.uri}/results.parquet for why, then run the sweep again with --resume."
            )
        return self.ranking[0]

    def require_some(self) -> None:
        """Refuse a sweep of which trials failed and no other came to a round.

        Raises:
            RunError: with the reason of the trial that was begun first.
        """
        failed, place = [trial for trial in self.trials if trial.state == "failed"], self.directory.uri
        if failed and not any(trial.curve for trial in self.trials if trial.state != "failed"):
            raise RunError(
                f"{place}: {len(failed)} of {len(self.trials)} trials failed, and no other came to a round.\n"
                f"The first: {' '.join(failed[0].reason.split())[:300]}\n"
                f"Mend this, then run the sweep again with --resume; {place}/report.html has the other reasons."
            )

    @property
    def best_config(self) -> Config:
        """Return the base configuration with the best point's values, named after the sweep, under its first seed."""
        own = {"name": f"{self.sweep.name}-best", "seed": self.best.trials[0].seed}
        return make_config(with_values(self.base, {**self.best.point, **own}))

    @property
    def saved(self) -> float:
        """Return the share of compute that early stopping saved, the rounds left out counted at their trial's mean."""
        spent = whole = 0.0
        for trial in self.trials:
            if trial.curve and trial.state in ("finished", "stopped"):
                planned = self.base.rounds if trial.state == "stopped" else len(trial.curve)
                spent += trial.seconds
                whole += trial.seconds / len(trial.curve) * max(planned, len(trial.curve))
        return 1.0 - spent / whole if whole else 0.0

    def dataframe(self) -> pandas.DataFrame:
        """Return one row a trial, as in results.parquet: what it was, what became of it, and each searched key."""
        return self.table().to_pandas()

    def table(self) -> pa.Table:
        """Return one row a trial, as in results.parquet."""
        rows = [self._row(trial) for trial in self.trials]
        keys = list(self.sweep.space)
        columns = {name: [row[name] for row in rows] for name in (rows[0] if rows else self._row(None))}
        return pa.table(columns | {key: _column([trial.point.get(key) for trial in self.trials]) for key in keys})

    def curves(self) -> pa.Table:
        """Return one row for each committed round of each trial, as in curves.parquet."""
        rows = [
            {
                "trial": t.name,
                "round": p.round,
                "asked": p.asked,
                "seconds": p.seconds,
                "objective": p.objective,
                **p.scores,
            }
            for t in self.trials
            for p in t.curve
        ]
        return pa.Table.from_pylist(rows)

    def write(self) -> None:
        """Write results.parquet, curves.parquet and, where there is a best point, best.yaml."""
        for name, table in (("results", self.table()), ("curves", self.curves())):
            buffer = io.BytesIO()
            pq.write_table(table, buffer)
            self.directory.write(f"{name}.parquet", buffer.getvalue())
        if self.ranking:
            self.directory.write("best.yaml", print_config(self.best_config).encode())

    def _row(self, trial: Trial | None) -> dict[str, Any]:
        last = trial.last if trial else None
        scores = last.scores if last else {}
        return {
            "trial": trial.name if trial else None,
            "state": trial.state if trial else None,
            "reason": trial.reason if trial else None,
            "seed": trial.seed if trial else None,
            "rounds": len(trial.curve) if trial else None,
            "asked": last.asked if last else None,
            "seconds": trial.seconds if trial else None,
            "value": last.value if last else None,
            "objective": last.objective if last else None,
            "distance": scores.get("distance"),
            "accuracy": scores.get("accuracy"),
            "agreement": scores.get("agreement"),
        }


def _read_trial(run: RunDirectory, note: dict[str, Any], sweep: SweepConfig, mode: str) -> Trial:
    ended = read_note(run, ENDED) or {"state": "unfinished", "reason": "the sweep ended before this trial"}
    curve = curve_of(read_results(run), sweep.metric, mode, sweep.early_stop.smoothing)
    point: Point = note["point"]
    if run.exists():  # what the run really had: a value that never reached it must not be called the winner
        values = flatten(read_saved(run).given)
        point = {key: values.get(key) for key in point}
    return Trial(run.name, point, note["seed"], ended["state"], ended["reason"], curve)


def _column(values: list[Any]) -> pa.Array:
    """Return a column of one type: values of several types, lists and mappings as YAML."""
    plain = {type(value) for value in values if value is not None}
    if plain <= {int, float} or plain in ({str}, {bool}):
        return pa.array([float(v) if plain == {int, float} and v is not None else v for v in values])
    return pa.array(
        [
            None if v is None else yaml.safe_dump(v, default_flow_style=True).strip().removesuffix("\n...")
            for v in values
        ]
    )
