"""The sections of what is measured, and when it is enough."""

from typing import Annotated

from pydantic import Field

from distal.config.section import Count, Fraction, Images, Place, Positive, Section


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
        default_factory=list,
        description="metrics to measure beside the standard ones: cmmd, mind, precision, recall, density, "
        "coverage, inception_score, cas, membership, or an installed package's",
    )
    samples: Images = Field(2000, description="generated images that are scored")
    reference: Images = Field(10_000, description="held-out images compared with, at most")
    allow_overlap: bool = Field(False, description="accept an evaluation set that is the pool itself")


class ProveConfig(Section):
    """Whether a run that has ended asks if its generated images pay; `distal prove` asks at any time."""

    enabled: bool = Field(False, description="prove it when the run ends: two classifiers, minutes of one CPU core")
    seeds: Annotated[int, Field(ge=2, le=1000)] = Field(5, description="how often each classifier is trained")
    per_class: Count | None = Field(
        None, description="images and labels of a class together; null: twice the labels of the largest class"
    )
    price: Annotated[int, Field(ge=0, le=10**9)] | None = Field(
        None, description="labels that the images' making would have bought; null: one more query.batch"
    )


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
    recall: Annotated[float, Field(gt=0.0, le=1.0)] | None = Field(
        None,
        description="stop when at least this share of every rare class's images in the pool is found, wrong at most "
        "once in twenty; a class is rare below an even share of the pool",
    )
    patience: Count | None = Field(
        None, description="stop after this many rounds without improvement of the goal's metric (else the distance)"
    )
    min_improvement: Fraction = Field(0.01, description="relative change of the metric that counts as improvement")

    @property
    def followed(self) -> GoalConfig | None:
        """Return the goal, also one that is given in its short form."""
        return self.goal if self.fid is None else GoalConfig(metric="distance", value=self.fid)
