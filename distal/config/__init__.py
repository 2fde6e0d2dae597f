"""The typed configuration that everything is built from: one tree, unknown keys refused, printable back.

A field says its unit, its range and the reason for its default. Names that live in registries (strategies, networks,
losses, ...) are checked against them in `distal.resolve`, the edge where YAML and overrides come in.
"""

from typing import Annotated, Literal

from pydantic import Field, SerializeAsAny

from distal.config.learning import BalanceConfig, FeaturesConfig, GanConfig, ModelSection, NetConfig
from distal.config.pool import DatasetConfig, OracleSection, PoolConfig, QueryConfig
from distal.config.privacy import PrivacyConfig
from distal.config.quality import EvaluateConfig, GoalConfig, ProveConfig, StopConfig
from distal.config.section import EVALUATION_CACHE, Count, ImageSize, Name, Place, Positive, Processes, Section, Weight
from distal.config.training import TrainConfig

__all__ = [
    "EVALUATION_CACHE",
    "BalanceConfig",
    "Config",
    "Count",
    "DatasetConfig",
    "EvaluateConfig",
    "FeaturesConfig",
    "GanConfig",
    "GoalConfig",
    "ImageSize",
    "ModelSection",
    "Name",
    "NetConfig",
    "OracleSection",
    "Place",
    "PoolConfig",
    "Positive",
    "PrivacyConfig",
    "Processes",
    "ProveConfig",
    "QueryConfig",
    "Section",
    "StopConfig",
    "TrainConfig",
    "Weight",
]


class Config(Section):
    """A whole run."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$"), Name] = Field(
        "digits", description="name of the run; it lies in <storage>/<name>"
    )
    storage: Annotated[str, Place()] = Field(
        "runs", description="local folder or pyarrow.fs URI (s3://, gs://) that holds runs"
    )
    seed: Annotated[int, Field(ge=0, lt=2**63)] = Field(0, description="seed of every random stream of the run")
    rounds: Count = Field(5, description="rounds at most")
    address: str | None = Field(None, description="Ray cluster; null: the one this process is in, else a local one")
    autoscaling: bool = Field(
        False,
        description="the cluster starts nodes on demand: ask for whole CPUs and wait for what is not there yet, "
        "instead of dividing, or refusing, by what there is",
    )
    wait_s: Positive = Field(
        600.0,
        description="seconds that shards wait for a place before the run gives up; one that was lost, before its rows "
        "go to the others",
    )
    driver_cpus: Weight = Field(
        0.0, description="CPUs that this process itself holds on the cluster; `distal submit --cpus` says so"
    )
    pool: PoolConfig = Field(default_factory=PoolConfig)
    query: QueryConfig = Field(default_factory=QueryConfig)
    oracle: SerializeAsAny[DatasetConfig | OracleSection] = Field(default_factory=DatasetConfig)
    features: FeaturesConfig = Field(default_factory=FeaturesConfig)
    classifier: Literal["auto", "probe", "head"] = Field(
        "auto",
        description="whose class probabilities strategies see: the probe's (logistic regression on frozen features), "
        "the head's (the model's own), or auto, who foretold the answers better; head makes no features",
    )
    net: NetConfig = Field(default_factory=NetConfig)
    train: TrainConfig = Field(default_factory=TrainConfig)
    model: SerializeAsAny[GanConfig | ModelSection] = Field(default_factory=GanConfig)
    evaluate: EvaluateConfig = Field(default_factory=EvaluateConfig)
    stop: StopConfig = Field(default_factory=StopConfig)
    prove: ProveConfig = Field(default_factory=ProveConfig)

    @property
    def label_budget(self) -> int:
        """Return the number of labels that the run may ask for in all."""
        planned = self.rounds * self.query.batch
        return planned if self.stop.labels is None else min(self.stop.labels, planned)

    @property
    def planned_rounds(self) -> int:
        """Return the number of rounds that the label budget is spent in."""
        return -(-self.label_budget // self.query.batch)

    @property
    def planned_trainings(self) -> int:
        """Return how many of these rounds train."""
        return -(-self.planned_rounds // self.train.every)
