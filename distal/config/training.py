"""The section of training: one round's updates, what all models share, and what their global batch comes to."""

from typing import Annotated, Literal

from pydantic import Field

from distal.config.section import Count, Fraction, Positive, Processes, Section, Steps, Weight

IMAGES = 64
"""The global batch where nobody says."""

LEAST_IMAGES, MOST_IMAGES = 2, 65536
"""Of a global batch; the largest of the field's is BigGAN's 2,048."""


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
    every: Count = Field(
        1,
        description="rounds from one training to the next, so that nobody who labels waits: between, the refit probe "
        "and the last model ask; the round that a run ends with always trains",
    )
    steps: Count = Field(500, description="updates in a round that trains")
    batch_size: Annotated[int, Field(ge=LEAST_IMAGES, le=MOST_IMAGES)] | None = Field(
        None,
        description="global batch in images, divided among the workers; null: batch_per_worker of each of them, or 64",
    )
    batch_per_worker: Annotated[int, Field(ge=1, le=MOST_IMAGES)] | None = Field(
        None,
        description="images of each worker's part of the global batch, in place of batch_size; a run that has begun "
        "keeps its global batch, however many workers it goes on with",
    )
    labeled_fraction: Fraction = Field(
        0.25,
        description="share of the batch drawn from labeled rows; more makes D learn the few labeled images by heart",
    )
    run_length: Annotated[int, Field(ge=1, le=4096)] = Field(
        1,
        description="unlabeled rows are drawn in runs of so many neighbours in the pool; more means fewer calls to the "
        "shards a step, for pools whose neighbours are as different as any two rows; not where an ensemble or private "
        "updates draw each row by its own chance",
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
    weight_decay: Weight | None = Field(
        None,
        description="weight decay of the optimizer: adamw shrinks weights by rate x decay a step, the others add it to "
        "the gradient; null: the optimizer's own (adamw 0.01, others 0)",
    )
    schedule: str = Field(
        "constant", description="what becomes of the learning rates over the run, by name: constant, linear, cosine"
    )
    schedule_steps: Count | None = Field(
        None, description="updates in which the schedule comes to its end; null: all of the planned rounds'"
    )
    schedule_restarts: bool = Field(
        False,
        description="begin the schedule anew after each schedule_steps: with as many as train.steps, in every round, "
        "for its labels are new",
    )
    final_rate: Fraction = Field(0.01, description="share of the learning rates that linear and cosine end at")
    warmup_steps: Steps = Field(0, description="first updates in which the learning rates rise evenly from near zero")
    clip_norm: Positive | None = Field(
        None, description="greatest length of a network's gradient of the global batch; null: any"
    )
    accumulate: Count = Field(
        1,
        description="batches whose mean gradient makes one update: as a batch that many times larger, in the memory of "
        "one; means over a batch stay means over each",
    )
    full_labels: bool = Field(
        False,
        description="every batch holds all labeled rows in place of its labeled_fraction; with optimizer sgd and "
        "class_balance 0 that is gradient descent on the labels",
    )
    ema_half_life: Positive = Field(
        150.0, description="steps in which the averaged G and D forget half; at most a tenth of the steps done"
    )
    augment: list[str] = Field(
        default_factory=lambda: ["zoom"],
        description="differentiable augmentations, in order: zoom, translation, flip, cutout, brightness, contrast; "
        "zoom suits scans and centred objects, and at 8 px a shift of one pixel is too much (distance twice as large)",
    )
    on_divergence: Literal["stop", "restore"] = Field(
        "stop",
        description="what follows a loss that is not finite or explodes: stop ends the run before anything of it is "
        "committed; restore goes back to the last good state, at most 100 updates, and on with half the steps",
    )
    explosion: Annotated[float, Field(ge=2.0)] = Field(
        1e4, description="a loss explodes where it is this many times its usual size of the last twenty updates, or 1"
    )
    variety_steps: Steps = Field(
        100,
        description="updates between two looks at whether images of a class still differ, 16 of each from the same "
        "latents beside its labeled images (variety; 1 is as varied): a warning says where they do not; 0: never",
    )
    checkpoint_s: Positive | None = Field(
        300.0,
        description="seconds between two states that are kept within a round, so that a killed run loses minutes and "
        "not the round; null: only when a node of the cluster is about to be taken away",
    )
    precision: Literal["auto", "fp32", "bf16"] = Field(
        "auto", description="auto: bf16 autocast where the hardware gains; scoring: where that of every shard does"
    )

    @property
    def global_batch(self) -> int:
        """Return the images of a global batch: batch_size, or what null comes to on `workers`."""
        if self.batch_size is not None:
            return self.batch_size
        return IMAGES if self.batch_per_worker is None else self.batch_per_worker * max(1, self.workers)

    def settled(self, images: int | None = None) -> "TrainConfig":
        """Return the same with a global batch that no longer depends on the workers: of `images`, or as it is now."""
        return self.model_copy(update={"batch_size": images or self.global_batch, "batch_per_worker": None})
