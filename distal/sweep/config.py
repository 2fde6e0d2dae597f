"""The typed configuration of a sweep: what is searched, by whom, what stops a trial, what a trial may use."""

from typing import Annotated, Any, Literal

from pydantic import Field

from distal.config import Config, Count, Name, Place, Positive, Processes, Section, Weight

SchedulerName = Literal["asha", "hyperband", "median", "pbt", "none"]
SearcherName = Literal["random", "grid", "optuna", "bohb"]
LoggerName = Literal["tensorboard", "mlflow", "wandb"]

SILENT_S = 1800.0
"""Longer than a shard may be silent, or ranks wait for one another: what hangs there is mended, or told, before."""


class EarlyStopConfig(Section):
    """When a trial is given up. Everything counts in rounds of the base configuration, as labels spent."""

    scheduler: SchedulerName = Field(
        "asha",
        description="asha: a trial goes on past a rung only among the best 1/reduction of those seen there so far; "
        "hyperband: the same, waiting for all; median: while it is not worse than the median; pbt: the worst take over "
        "the weights of the best, with changed values; none",
    )
    grace: Count = Field(
        2,
        description="rounds that every trial runs before it may be stopped; in the first all strategies ask the same",
    )
    reduction: Annotated[int, Field(ge=2)] = Field(
        3, description="asha, hyperband: of how many trials at a rung one goes on; rungs lie at grace x reduction^k"
    )
    keep: Count = Field(
        2,
        description="asha: the best so far at a rung that go on in any case, so that no trial falls to a single rival",
    )
    smoothing: Annotated[float, Field(ge=0.0, lt=1.0)] = Field(
        0.3,
        description="weight of the rounds before in the value that is compared, an exponential mean (of a distance: of "
        "its logarithm), because one distance is noisy; 0 compares the last value alone",
    )
    interval: Count = Field(2, description="pbt: rounds between two exchanges")
    quantile: Annotated[float, Field(gt=0.0, le=0.5)] = Field(
        0.25, description="pbt: share of the population that takes over, and that is taken from"
    )


class TrialResources(Section):
    """What one trial reserves of the cluster."""

    driver_cpus: Weight = Field(
        0.0, description="CPUs that the sweep's own process holds on the cluster; `distal submit --cpus` says so"
    )
    cpus: Positive = Field(1.0, description="CPUs of the trial's own process, which trains where workers is 0")
    gpus: Weight = Field(0.0, description="GPUs of the trial's own process; fractions let trials share one")
    shards: Processes = Field(0, description="shard actors; 0 scores in the trial's process, which suits one machine")
    cpus_per_shard: Positive = Field(1.0, description="CPUs of a shard actor")
    gpus_per_shard: Weight = Field(0.0, description="GPUs of a shard actor")
    workers: Processes = Field(
        0, description="Ray Train workers; 0 trains in the trial's process, with the same result"
    )
    cpus_per_worker: Positive = Field(1.0, description="CPUs of a training worker")
    gpus_per_worker: Weight = Field(0.0, description="GPUs of a training worker")


class SweepConfig(Section):
    """A whole sweep."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,79}$"), Name] = Field(
        "sweep", description="name of the sweep; it lies in <storage>/<name>"
    )
    storage: Annotated[str, Place()] = Field(
        "sweeps", description="local folder or pyarrow.fs URI (s3://, gs://) that holds sweeps"
    )
    address: str | None = Field(None, description="Ray cluster; null: the one this process is in, else a local one")
    base: dict[str, Any] | str = Field(
        default_factory=lambda: Config().model_dump(mode="json"),
        description="configuration of the runs: keys as in `distal config`, or a YAML file",
    )
    space: dict[str, Any] = Field(
        default_factory=dict,
        description="searched keys: dotted name to {kind: values}, kinds choice, grid, uniform, loguniform, quniform, "
        "randint; a list is a choice; beside it `when: {key: value}`",
    )
    metric: str = Field("distance", description="score that is compared: distance, or a name in metrics.json")
    mode: Literal["min", "max"] | None = Field(
        None, description="whether less or more of the metric is better; null: as the metric is"
    )
    searcher: SearcherName = Field(
        "random", description="random draws points, grid tries all, optuna and bohb learn where to look"
    )
    trials: Count = Field(12, description="points drawn: for each combination of `grid` keys; grid ignores it")
    seeds: Annotated[list[Annotated[int, Field(ge=0, lt=2**63)]], Field(min_length=1)] = Field(
        default_factory=lambda: [0], description="seeds under which every point is tried, each a trial"
    )
    seed: Annotated[int, Field(ge=0, lt=2**31)] = Field(0, description="seed of the search itself")
    early_stop: EarlyStopConfig = Field(default_factory=EarlyStopConfig)
    resources: TrialResources = Field(default_factory=TrialResources)
    concurrency: Count | None = Field(None, description="trials at a time; null: as many as the cluster holds")
    silent_s: Positive = Field(
        SILENT_S,
        description="seconds after which a trial is hung and counts as failed that shows no sign of work, which is CPU "
        "spent by the thread that runs its rounds; not a limit on how long a round takes",
    )
    hours: Positive | None = Field(None, description="the sweep ends after this time; null: when its trials have")
    loggers: list[LoggerName] = Field(["tensorboard"], description="who else is told: tensorboard, mlflow, wandb")
