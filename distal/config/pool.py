"""The sections of what is asked: the pool, the query and the oracle."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from distal.config.section import Count, Fraction, ImageSize, Place, Positive, Processes, Section, Weight


def _named(given: object) -> object:
    """Write weights of strategies, {margin: 0.5, entropy: 0.5}, as the name of their sum, 0.5*margin+0.5*entropy."""
    if isinstance(given, Mapping) and given and all(isinstance(w, (int, float)) for w in given.values()):
        return "+".join(f"{weight:.12g}*{name}" for name, weight in given.items())
    return given


Chosen = Annotated[str, BeforeValidator(_named)]
"""A strategy's name."""


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
    image_size: ImageSize | None = Field(
        None, description="side in pixels; null: the smallest of these that holds the first images, at most 64"
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
    prepared: Annotated[str | None, Place()] = Field(
        None,
        description="folder or URI that `distal data prepare` wrote: what fits of its pixels and features is fetched, "
        "not made anew; null: none",
    )
    cpus_per_shard: Positive | None = Field(
        None, description="CPUs reserved per shard; null: an even share of half the cluster, at most 1"
    )
    gpus_per_shard: Weight = Field(
        0.0,
        description="GPUs reserved per shard; fractions let shards share a GPU, and with what training leaves of it",
    )
    silent_s: Positive = Field(
        600.0,
        description="seconds for which a shard that lets wait may show no work, neither a call begun nor CPU spent, "
        "before its process is taken for hung and replaced; a call itself may take as long as it does",
    )


class QueryConfig(Section):
    """What is asked of the oracle in each round."""

    strategy: Chosen = Field(
        "auto",
        description="query strategy by its standard name; 0.5*margin+0.5*entropy, or the mapping {margin: 0.5, "
        "entropy: 0.5}, adds up ranks; per_cost:NAME weighs by oracle.cost, class_balanced:NAME by predicted class",
    )
    batch: Count = Field(10, description="labels asked in a round")
    synthesize: Annotated[float, Field(ge=0.0, lt=1.0)] = Field(
        0.0,
        description="share of a round's batch that are images which the generator draws where its classifier is in "
        "doubt, in place of the pool's; 'skip' or 'none of these' then teaches the discriminator; 0: none",
    )
    cold_start: Chosen = Field(
        "random",
        description="strategy of the first round, while there is no label to learn from: 'random' or a strategy's name",
    )
    subpool: Count | None = Field(
        None,
        description="about so many rows of the pool, others in each round, are looked at; null: all of them. A round's "
        "cost then grows with this, not with the pool",
    )
    neighbours: Count | None = Field(
        None,
        description="the nearest rows of each label, so many, are looked at, and with query.subpool those as well; "
        "null: no neighbourhoods",
    )
    labels: Annotated[str | None, Place()] = Field(
        None,
        description="CSV or Parquet file of row_id or path, and label: labels that there are already; the run begins "
        "with them, asks for none of these rows, and keeps them, so that it reads the file once",
    )
    references: Annotated[str | None, Place()] = Field(
        None,
        description="folder with one subfolder a class, or Parquet file, of example images that are none of the "
        "pool's; the run begins with them as labeled rows, and keeps them, so that it reads them once",
    )


class OracleSection(Section):
    """Who answers, by its kind, with its own keys beside it."""

    kind: str = Field("dataset", description="oracle by name: dataset, callable, files, page, told or label_studio")
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
        "dataset",
        description="dataset (the hidden column), callable (a Python function), files, page or label_studio (people), "
        "told (ask and tell from Python, imported files), or a package's",
    )
    noise: Fraction = Field(0.0, description="probability that an answer is another class, uniformly")
