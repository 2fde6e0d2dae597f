"""The typed configuration that everything is built from: one tree, unknown keys refused, printable back.

A field says its unit, its range and the reason for its default. Names that live in registries (strategies, networks,
losses, ...) are checked against them in `distal.resolve`, the edge where YAML and overrides come in.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SerializeAsAny, model_validator

EVALUATION_CACHE = "evaluation-cache"
"""Folder of the storage, shared by its runs, with trained extractors and reference statistics by hash."""


@dataclass(frozen=True)
class Place:
    """Mark a key that names files or folders, which `distal.places` makes absolute wherever work begins.

    word: a value that names none.
    """

    word: str | None = None


def _not_reserved(name: str) -> str:
    if name == EVALUATION_CACHE:
        raise ValueError("this folder of the storage keeps extractors and statistics for all runs; take another name")
    return name


Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
Positive = Annotated[float, Field(gt=0.0)]
Weight = Annotated[float, Field(ge=0.0)]
Count = Annotated[int, Field(ge=1, le=10**9)]  # more of anything is a slip of the finger
Processes = Annotated[int, Field(ge=0, le=4096)]  # each is a process of some hundred MB
Images = Annotated[int, Field(ge=16, le=10**6)]  # their features are held at once; papers take 50,000
Name = AfterValidator(_not_reserved)


class Section(BaseModel):
    """Refuse unknown keys, changes after construction, and numbers that are not finite."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class PoolConfig(Section):
    """The unlabeled images and how they are decoded and spread."""

    path: Annotated[str | list[str], Place(word="digits")] = Field(
        "digits",
        description="Parquet file, folder, glob or URI, or a list of them; 'digits' is scikit-learn's set",
    )
    image_column: str = Field("image", description="column with struct<bytes, path> images (Hugging Face convention)")
    label_column: str | None = Field(
        "label",
        description="column of hidden labels, read by the dataset oracle and the evaluation alone; may be absent",
    )
    classes: list[str] | None = Field(
        None, min_length=2, description="class names in label order; taken from the Parquet schema where it has them"
    )
    image_size: Literal[8, 16, 32, 64] | None = Field(
        None, description="side in pixels; null: the smallest that holds the first images, at most 64"
    )
    channels: Literal[1, 3] | None = Field(None, description="1 grey, 3 colour; null: as the first images are")
    fit: Literal["resize", "crop", "pad"] = Field(
        "resize", description="how an oblong image becomes square: stretched, centre-cropped, or padded with black"
    )
    normalize: Literal["none", "autocontrast"] = Field(
        "none", description="autocontrast stretches each image to the full range before it is cached"
    )
    shards: Processes | None = Field(
        None,
        description="shard actors; 0 scores in the driver's process; null: 0 for a pool of up to 20,000 rows without "
        "training workers and without a Ray cluster to join, else 2; results do not depend on it",
    )
    block_rows: Annotated[int, Field(ge=16, le=65536)] = Field(
        256, description="rows in one forward pass; shards are whole blocks, so that sharding cannot change a score"
    )
    max_pixels: Count = Field(50_000_000, description="an image that declares more pixels is skipped, not decoded")
    cache: Annotated[str | None, Place()] = Field(
        None, description="folder of decoded images on each node; null: ~/.cache/distal"
    )
    cpus_per_shard: Positive | None = Field(
        None, description="CPUs reserved per shard; null: an even share of half the cluster, at most 1"
    )
    gpus_per_shard: Weight = Field(0.0, description="GPUs reserved per shard; fractions share a GPU with training")


class QueryConfig(Section):
    """What is asked of the oracle in each round."""

    strategy: str = Field("badge", description="query strategy by its standard name")
    batch: Count = Field(10, description="labels asked in a round")
    cold_start: str = Field(
        "random",
        description="strategy of the first round, whose model has seen no label: 'random' or a strategy's name",
    )
    labels: str | None = Field(
        None,
        description="CSV or Parquet file of row_id or path, and label: labels that there are already; the run begins "
        "with them, asks for none of these rows, and keeps them, so that it reads the file once",
    )


class OracleSection(Section):
    """Who answers, by its kind, with its own keys beside it."""

    kind: str = Field("dataset", description="oracle by name: dataset, callable or files")
    cost: dict[str, Weight] = Field(
        default_factory=dict, description="cost of one answer by class name; classes not named cost 1"
    )

    @model_validator(mode="before")
    @classmethod
    def _without_noise(cls, given: object) -> object:
        """Leave out `noise: 0`, which every run's config.yaml had before it was the dataset oracle's own."""
        if isinstance(given, Mapping) and "noise" not in cls.model_fields and given.get("noise") == 0:
            return {key: value for key, value in given.items() if key != "noise"}
        return given


class DatasetConfig(OracleSection):
    """Who answers: the pool's hidden label column."""

    kind: Literal["dataset"] = Field(
        "dataset", description="dataset (the hidden column), callable (Python API), files (people), or a package's"
    )
    noise: Fraction = Field(0.0, description="probability that an answer is another class, uniformly")


class NetConfig(Section):
    """The shapes of generator and discriminator."""

    name: str = Field(
        "auto", description="network by name: dense, residual, or auto, which is dense at 8 px and residual above"
    )
    latent_dim: Annotated[int, Field(ge=1, le=4096)] = Field(  # the field takes 64 to 512
        64, description="dimension of the latent z; the class embedding has the same"
    )
    width: Annotated[int, Field(ge=4, le=1024)] = Field(  # at 1024 a level has 4,096 channels, 600 MB a convolution
        32,
        description="residual: channels at 16 px, doubled with each halving of the side (32: a step of 64 images of "
        "32 px takes about 0.2 s on two cores); dense: 1/8 of the units of a layer",
    )
    features: Annotated[int, Field(ge=1, le=16384)] = Field(  # strategies hold as many floats for each row of a block
        64, description="dimension of the discriminator's features, which strategies see as embeddings"
    )


class TrainConfig(Section):
    """One round's updates: what all models share."""

    workers: Processes = Field(
        0, description="Ray Train workers; 0 trains in the driver's process, with the same result"
    )
    min_workers: Count | None = Field(
        None,
        description="begin with as many of the workers as find a place, at least these, and with more after a commit "
        "when there is room; null: wait for all",
    )
    cpus_per_worker: Positive | None = Field(
        None, description="CPUs reserved per worker; null: an even share of half the cluster, at most 1"
    )
    gpus_per_worker: Weight | None = Field(
        None, description="GPUs per worker; null: 1 where the cluster has GPUs now, else 0"
    )
    threads: Count | None = Field(None, description="CPU threads of a worker; null: an even share of the cores")
    steps: Count = Field(500, description="updates in a round")
    batch_size: Annotated[int, Field(ge=2, le=65536)] = Field(  # the largest of the field's is BigGAN's 2,048
        64, description="global batch in images, divided among the workers"
    )
    labeled_fraction: Fraction = Field(
        0.25,
        description="share of the batch drawn from labeled rows; more makes D learn the few labeled images by heart",
    )
    class_balance: Fraction = Field(
        1.0,
        description="0 draws labeled rows as they were labeled, 1 every class equally often, so that a rare class with "
        "few labels is trained at all; between, a class of c labels weighs c^(1 - class_balance) in all",
    )
    optimizer: str = Field("adam", description="optimizer by name: adam, adamw, rmsprop, sgd")
    momentum: Annotated[float, Field(ge=0.0, lt=1.0)] = Field(
        0.0,
        description="momentum of sgd and rmsprop, beta_1 of adam and adamw; 0 against rotation around the equilibrium "
        "of two players (Mescheder et al. 2018; R3GAN)",
    )
    ema_half_life: Positive = Field(
        150.0, description="steps in which the averaged G and D forget half; at most a tenth of the steps done"
    )
    augment: list[str] = Field(
        default_factory=lambda: ["zoom"],
        description="differentiable augmentations, in order: zoom, translation, flip, cutout, brightness, contrast; "
        "zoom suits scans and centred objects, and at 8 px a shift of one pixel is too much (distance twice as large)",
    )
    precision: Literal["auto", "fp32", "bf16"] = Field(
        "auto", description="auto: bf16 autocast where the hardware gains; scoring: where that of every shard does"
    )


def _penalties() -> dict[str, float | None]:
    return {"r1": None, "r2": None}


class ModelSection(Section):
    """What learns: a model by its kind, with its own keys beside it."""

    kind: str = Field("gan", description="model by name: gan")


class GanConfig(ModelSection):
    """The GAN's own: its losses and step sizes."""

    kind: Literal["gan"] = Field("gan", description="model by name: gan, or one that a package adds")
    learning_rate_g: Positive = Field(
        5e-4, description="step size for G; 1e-3 ended at twice the distance on digits (3.1, not 1.5)"
    )
    learning_rate_d: Positive = Field(5e-4, description="step size for D and its head")
    adversarial: str = Field("rpgan", description="adversarial loss by name: rpgan, hinge, non_saturating")
    regularizers: dict[str, Weight | None] = Field(
        default_factory=_penalties,
        description="weight lambda of each regularizer by its name; null: its default, scaled by the pixels of an "
        "image (r1, r2: 0.05 at 8 px, 0.8 at 32 px)",
    )
    lazy_interval: Count = Field(
        1, description="apply lazy regularizers (r1, r2, wgan_gp) every n-th step with weight n: saves time, adds noise"
    )
    head_weight: Weight = Field(1.0, description="weight of the head's cross-entropy on labeled rows, in D's loss")
    pseudo_label_weight: Weight = Field(
        0.1,
        description="weight of the head's loss on its own confident predictions (FixMatch), in D's loss; at 1 what the "
        "head gets wrong while a class has no label yet is never unlearned (digits: accuracy 0.83, not 0.9)",
    )
    pseudo_label_threshold: Fraction = Field(
        0.95, description="confidence from which a prediction counts as a label (FixMatch's value)"
    )
    class_weight: Weight = Field(
        0.1, description="weight in G's loss of the head's cross-entropy for the class asked (AC-GAN)"
    )


class EvaluateConfig(Section):
    """What quality is measured against."""

    path: Annotated[str | list[str] | None, Place(word="digits")] = Field(
        None, description="held-out images, read like pool.path; null: evaluate.holdout of the pool is kept out of it"
    )
    holdout: Annotated[float, Field(gt=0.0, lt=1.0)] | None = Field(
        None,
        description="fraction of the pool's rows held out when evaluate.path is null, chosen by hash of the row id; "
        "null: as many as make 10,000 rows, at most about 0.3 of the pool",
    )
    label_column: str | None = Field("label", description="label column of the held-out images; may be absent")
    extractor: str = Field(
        "pool-cnn", description="feature extractor by name; scores are comparable where its hash agrees"
    )
    extractor_path: Annotated[str | None, Place()] = Field(
        None, description="inception: path or URL of the TorchScript file; it runs code, so give one you trust"
    )
    metrics: list[str] = Field(
        default_factory=list, description="metrics of installed packages to measure beside the standard ones"
    )
    samples: Images = Field(2000, description="generated images that are scored")
    reference: Images = Field(10_000, description="held-out images compared with, at most")
    allow_overlap: bool = Field(False, description="accept an evaluation set that is the pool itself")


class GoalConfig(Section):
    """A value that is good enough."""

    metric: str = Field("distance", description="a score of metrics.json over all images, or distance")
    value: float = Field(description="the run ends when the metric is here or better")


class StopConfig(Section):
    """When the loop ends, besides `rounds`."""

    labels: Count | None = Field(None, description="label budget of the whole run; null: rounds x query.batch")
    fid: Positive | None = Field(None, description="short for a goal on the Frechet distance, whatever the extractor")
    goal: GoalConfig | None = Field(
        None, description="stop when a metric reaches a value, such as {metric: agreement, value: 0.95}"
    )
    patience: Count | None = Field(
        None, description="stop after this many rounds without improvement of the goal's metric (else the distance)"
    )
    min_improvement: Fraction = Field(0.01, description="relative change of the metric that counts as improvement")

    @property
    def followed(self) -> GoalConfig | None:
        """Return the goal, also one that is given in its short form."""
        return self.goal if self.fid is None else GoalConfig(metric="distance", value=self.fid)


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
    wait_s: Positive = Field(600.0, description="seconds that shards wait for a place before the run gives up")
    driver_cpus: Weight = Field(
        0.0, description="CPUs that this process itself holds on the cluster; `distal submit --cpus` says so"
    )
    pool: PoolConfig = Field(default_factory=PoolConfig)
    query: QueryConfig = Field(default_factory=QueryConfig)
    oracle: SerializeAsAny[DatasetConfig | OracleSection] = Field(default_factory=DatasetConfig)
    net: NetConfig = Field(default_factory=NetConfig)
    train: TrainConfig = Field(default_factory=TrainConfig)
    model: SerializeAsAny[GanConfig | ModelSection] = Field(default_factory=GanConfig)
    evaluate: EvaluateConfig = Field(default_factory=EvaluateConfig)
    stop: StopConfig = Field(default_factory=StopConfig)

    @property
    def label_budget(self) -> int:
        """Return the number of labels that the run may ask for in all."""
        planned = self.rounds * self.query.batch
        return planned if self.stop.labels is None else min(self.stop.labels, planned)

    @property
    def planned_rounds(self) -> int:
        """Return the number of rounds that the label budget is spent in."""
        return -(-self.label_budget // self.query.batch)
